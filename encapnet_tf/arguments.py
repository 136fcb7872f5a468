"""Checks of arguments, with errors that say what was expected and what was received."""

import numbers


def whole_number(name: str, value, least: int = 1) -> int:
    """Return `value` as an int, or raise a ValueError if it is no integer of at least `least`.

    Args:
        name: the argument's name, for the error.
        value: the argument.
        least: the smallest value allowed.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}. Received: {name}={value!r}.")
    return int(value)


def odd_int(name: str, value) -> int:
    """Return `value` as an int, or raise a ValueError if it is no positive odd integer.

    Symmetric padding needs odd kernels.
    """
    if whole_number(name, value) % 2 == 0:
        raise ValueError(f"{name} must be odd: padding is kernel // 2 on each side. Received: {name}={value!r}.")
    return int(value)


def one_of(name: str, value, choices) -> str:
    """Return `value`, or raise a ValueError that lists the strings `choices` if it is none of them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}.")
    return value
