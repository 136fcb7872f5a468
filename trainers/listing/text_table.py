"""Plain-text table of training runs for a terminal."""

import textwrap

from ..config.differences import setting_text
from .listed_run import ListedRun
from .run_list import RunList

_HEADER = ("run", "state", "test", "validation", "epochs", "time")
_RIGHT = ("test", "validation", "epochs", "time")  # columns of numbers, which are aligned on the right
_GAP, _INDENT = "  ", "    "
_LEAST = 20  # characters of a line of settings, however narrow the terminal


def text_table(run_list: RunList, width: int) -> str:
    """Format a list of training runs as a plain-text table with a header row.

    Each differing setting has a column, or, if the lines would be longer than the width, stands in a line below each
    run.

    Args:
        run_list: the runs, at least one.
        width: characters of a line.
    """
    runs = run_list.runs
    rows = [_cells(run) for run in runs]
    columns = {name: list(map(setting_text, values)) for name, values in run_list.settings.items()}
    if any(run.failure for run in runs):
        columns["failure"] = [" ".join((run.failure or "").split()) for run in runs]
    wide = [[*row, *(column[i] for column in columns.values())] for i, row in enumerate(rows)]
    lines = _aligned((*_HEADER, *columns), wide)
    if not columns or max(map(len, lines)) <= width:
        return "\n".join(lines)
    header, *lines = _aligned(_HEADER, rows)
    for i, line in enumerate(lines):
        pairs = " ".join(f"{name}={column[i]}" for name, column in columns.items() if column[i])
        below = textwrap.fill(pairs, max(_LEAST, width - len(_INDENT)), break_on_hyphens=False, break_long_words=False)
        lines[i] = f"{line}\n{textwrap.indent(below, _INDENT)}"
    return "\n".join([header, *lines])


def duration(seconds: float) -> str:
    """Format a number of seconds with the two largest units, such as "48 s", "6 min 11 s" or "2 h 05 min".

    Example:

    >>> duration(371.4)
    '6 min 11 s'
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def _cells(run: ListedRun) -> tuple[str, ...]:
    return (
        str(run.path),
        run.state,
        _percent(run.test_accuracy),
        _percent(run.validation_accuracy),
        f"{run.epochs_done}/{'?' if run.epochs is None else run.epochs}",
        duration(run.seconds),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _aligned(header, rows) -> list[str]:
    """Return the header and the rows of a table as lines of text with aligned columns."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = [">" if name in _RIGHT else "<" for name in header]
    return [
        _GAP.join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in table
    ]
