"""The flags that every benchmark takes."""

import argparse
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"


def integers(text):
    """Type of a flag that takes whole numbers with commas between."""
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"whole numbers with commas between are expected, not {text!r}") from None


def parser(description):
    """An argument parser with --quick and --out; unknown flags are an error.

    Args:
        description: first line of the help; the calling module's docstring.
    """
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="few rounds and few shapes: whether it runs, not how fast")
    made.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write (default: results/)")
    return made
