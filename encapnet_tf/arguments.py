"""Checks of function arguments, which raise errors that state the expected and the received value."""

import math
import numbers


def whole_number(name: str, value, least: int = 1) -> int:
    """Return an argument as an int if it is an integer of at least a given minimum, else raise ValueError.

    Args:
        name: the argument's name, for the error.
        value: the argument.
        least: the smallest value allowed.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}. Received: {name}={value!r}.")
    return int(value)


def odd_int(name: str, value) -> int:
    """Return an argument as an int if it is a positive odd integer, else raise ValueError.

    Symmetric padding needs odd kernels.
    """
    if whole_number(name, value) % 2 == 0:
        raise ValueError(f"{name} must be odd: padding is kernel // 2 on each side. Received: {name}={value!r}.")
    return int(value)


def one_of(name: str, value, choices) -> str:
    """Return an argument if it is one of the allowed choices, else raise ValueError."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}.")
    return value


def finite_number(name: str, value, least: float = -math.inf) -> float:
    """Return an argument as a float if it is a finite number of at least a given minimum, else raise ValueError.

    Args:
        name: the argument's name, for the error.
        value: the argument; a NumPy scalar, or a string that `float` reads, is a number too.
        least: the smallest value allowed.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= least):
        limit = "" if least == -math.inf else f" of at least {least:g}"
        raise ValueError(f"{name} must be a finite number{limit}. Received: {name}={value!r}.")
    return number
