"""The command-line flags that all benchmarks share."""

import argparse
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "results"


def integers(text):
    """Parse a command-line flag's comma-separated integers into a tuple.

    For `add_argument(type=...)`.
    """
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers separated by commas, received {text!r}") from None


def argument_parser(description):
    """Return an argument parser with the flags --quick and --out, which all benchmarks share.

    A benchmark adds its own flags.

    Args:
        description: text of the help; the calling module's docstring.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds and few shapes: whether it runs, not how fast")
    parser.add_argument(
        "--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write (default: results/)"
    )
    return parser
