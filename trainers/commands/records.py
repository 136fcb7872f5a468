"""Functions that format command results as CSV or JSON Lines."""

import argparse
import csv
import io
import json
import math
import sys
from collections.abc import Iterable

FORMATS = ("text", "csv", "json")


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the flag `--format` to an argument parser."""
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="text: for reading; csv: with a header; json: one object per line. Messages go to standard error. "
        "Default: text.",
    )


def csv_line(values: Iterable) -> str:
    """Format values as one CSV record without a line break, and quote values where needed.

    None is an empty field. A value with line breaks is quoted and keeps them.
    """
    text = io.StringIO()
    ending = "\r\n"  # a value with one of its characters is quoted
    csv.writer(text, lineterminator=ending).writerow(values)
    return text.getvalue().removesuffix(ending)


def json_line(record: dict) -> str:
    """Format a record as one line of JSON, with null for NaN and infinite numbers."""
    return json.dumps(_finite(record), allow_nan=False)


def write_any_file_name() -> None:
    """Configure standard output to write file names even if they contain bytes invalid in its encoding.

    Such names are written with the bytes that they have. Python reads them, and by default refuses to write them.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
