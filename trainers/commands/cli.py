"""Entry point of the `encapnet` command line, which parses arguments, runs a subcommand and reports errors."""

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from absl import app
from absl.flags import argparse_flags

from ..runs.errors import UserError

VERBS = {
    "train": "Train a capsule network; with no flags, on scikit-learn's digits.",
    "evaluate": "Evaluate a finished run's saved model.",
    "tune": "Search feedback_weight, epsilon and other settings with KerasTuner, on one machine or several.",
    "ablate": "Run the rows of one of the paper's tables; resumes an interrupted table.",
    "report": "Write the report.html of finished runs again, and a page that compares several.",
    "data": "Inspect or prepare a data set, build h-ImageNet, find the hardest classes.",
    "export": "Export a finished run as SavedModel and TFLite files, verified against it, with serving files.",
    "predict": "Classify image files with a run, an export or a server.",
}
# Modules of the verbs that are not in this package. A verb's module has `add_arguments(parser)` and `main(args)`.
_MODULES = {"export": "...export.commands.export", "predict": "...export.commands.predict"}


class _Parser(argparse_flags.ArgumentParser):
    """Argument parser that rejects abbreviated flags and suggests the most similar flag for a misspelt one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Print a command-line error, suggest a correction for a misspelt flag, and exit with status 2."""
        flag = message.removeprefix("unrecognized arguments: ").split("=")[0].split()[0]
        if near := difflib.get_close_matches(flag, self._option_string_actions, n=1):
            message += f" (did you mean {near[0]}?)"
        self.exit(2, f"{self.prog}: {message}\nSee `{self.prog} --help`.\n")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command-line arguments of `encapnet` from a list such as `sys.argv`."""
    parser = _Parser(prog="encapnet", description="Capsule networks in Keras: train, evaluate, export.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, help in VERBS.items():
        verb_parser = verbs.add_parser(name, help=help, description=help, inherited_absl_flags=None)
        if name not in argv:  # only the typed verb's module is imported, because the exports' need further packages
            continue
        module = importlib.import_module(_MODULES.get(name, f".{name}"), __package__)
        # Set before the verb adds its arguments, so that a verb with actions can set another main for each of them.
        verb_parser.set_defaults(parser=verb_parser, main=module.main)
        module.add_arguments(verb_parser)
    args, unknown = parser.parse_known_args(argv[1:])
    if unknown:  # reported by the verb's parser, which knows the verb's flags
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return args


def _run(args: argparse.Namespace) -> int:
    """Run the `encapnet` subcommand that the user chose, and return the exit status of the process."""
    try:
        args.main(args)
    except UserError as error:
        print(f"encapnet {args.verb}: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print(f"encapnet {args.verb}: interrupted.", file=sys.stderr)
        return 130
    return 0


def main() -> None:
    """Run the `encapnet` command line and end the process with an exit status."""
    app.run(_run, flags_parser=_parse)
