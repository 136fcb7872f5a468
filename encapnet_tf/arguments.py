"""Checks of constructor arguments: errors that say what was expected and what was received."""

import numbers


def positive_int(name: str, value) -> int:
    """Returns `value` as an int, or raises a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1. Received: {name}={value!r}.")
    return int(value)


def odd_int(name: str, value) -> int:
    """Returns `value` as an odd int (symmetric padding needs odd kernels), or raises a ValueError."""
    if positive_int(name, value) % 2 == 0:
        raise ValueError(f"{name} must be odd: padding is kernel // 2 on each side. Received: {name}={value!r}.")
    return int(value)


def one_of(name: str, value, choices) -> str:
    """Returns `value` if it is one of the strings `choices`, or raises a ValueError that lists them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}.")
    return value
