"""Types of command-line arguments: paths, and numbers with bounds.

Each is a function of the typed text, for the argument `type` of `add_argument`, and raises `UserError`.
"""

import math
from collections.abc import Callable

from .errors import UserError
from .path_arguments import ANY, check_path

MOST = 2**31 - 1  # of numbers whose size costs no memory


def path_type(flag: str | None = None, use: str = ANY) -> Callable[[str], str]:
    """Return a function that checks the path in a command-line argument.

    Args:
        flag: name of the flag; None for a positional argument.
        use: what the path is for; see `check_path`.
    """
    return _named(lambda text: check_path(flag, text, use), "path")


def integer_type(flag: str, least: int, most: int = MOST) -> Callable[[str], int]:
    """Return a function that converts the text of a command-line argument to an integer within bounds."""
    return _named(lambda text: _number(flag, text, int, "an integer", least, most), "number")


def number_type(flag: str, least: float, most: float) -> Callable[[str], float]:
    """Return a function that converts the text of a command-line argument to a finite float within bounds."""
    return _named(lambda text: _number(flag, text, float, "a number", least, most), "number")


def check_bounds(shown: str, value, least: float | None, most: float | None) -> None:
    """Raise `UserError` if a number is not finite or out of bounds.

    Args:
        shown: what the message begins with.
        value: an integer of any size, or a float.
        least: lower bound, or None.
        most: upper bound, or None.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{shown}: expected a finite number.")
    if least is not None and value < least:
        raise UserError(f"{shown}: expected at least {least}.")
    if most is not None and value > most:
        raise UserError(f"{shown}: expected at most {most}.")


def _number(flag, text, kind, expected, least, most):
    try:
        value = kind(text)
    except ValueError:
        raise UserError(f"{flag}={text}: must be {expected}.") from None
    check_bounds(f"{flag}={text}", value, least, most)
    return value


def _named(function, kind: str):
    function.kind = kind  # tests find arguments without a check by this mark
    return function
