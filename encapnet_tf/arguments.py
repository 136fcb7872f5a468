"""Checks of constructor arguments: errors that say what was expected and what was received."""

import numbers


def whole_number(name: str, value, least: int = 1) -> int:
    """Returns `value` as an int of at least `least`, or raises a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}. Received: {name}={value!r}.")
    return int(value)


def odd_int(name: str, value) -> int:
    """Returns `value` as an odd int (symmetric padding needs odd kernels), or raises a ValueError."""
    if whole_number(name, value) % 2 == 0:
        raise ValueError(f"{name} must be odd: padding is kernel // 2 on each side. Received: {name}={value!r}.")
    return int(value)


def one_of(name: str, value, choices) -> str:
    """Returns `value` if it is one of the strings `choices`, or raises a ValueError that lists them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}.")
    return value
