"""The `encapnet` command: one verb, one module; each verb has its own flags and help."""

import difflib
import importlib
import sys

from absl import app
from absl.flags import argparse_flags

from ..runs.errors import UserError

VERBS = {
    "train": "Train a capsule network; with no flags, on scikit-learn's digits.",
    "evaluate": "Evaluate a finished run's saved model.",
    "tune": "Search feedback_weight, epsilon and other settings with KerasTuner, on one machine or several.",
    "ablate": "Run the rows of one of the paper's tables; goes on where it stopped.",
    "report": "Write finished runs' report.html anew, and a page that compares several.",
    "data": "Look at a data set, prepare one, build h-ImageNet, find the hardest classes.",
    "export": "Make a finished run a SavedModel and TFLite files, proved equal to it, and what a server needs.",
    "predict": "Classify image files by a run, by an export or by a server.",
}
# Where a verb's module has another name.
_MODULES = {"export": "...export.commands.export", "predict": "...export.commands.predict"}


class _Parser(argparse_flags.ArgumentParser):
    def __init__(self, **kwargs):
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message):
        """One message, with the flag that was probably meant; exit status 2."""
        flag = message.removeprefix("unrecognized arguments: ").split("=")[0].split()[0]
        if near := difflib.get_close_matches(flag, self._option_string_actions, n=1):
            message += f" (did you mean {near[0]}?)"
        self.exit(2, f"{self.prog}: {message}\nSee `{self.prog} --help`.\n")


def _parse(argv):
    parser = _Parser(prog="encapnet", description="Capsule networks in Keras: train, evaluate, export.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, help in VERBS.items():
        verb = verbs.add_parser(name, help=help, description=help, inherited_absl_flags=None)
        if name not in argv:  # another verb's module is not needed, the exports' least of all
            continue
        module = importlib.import_module(_MODULES.get(name, f".{name}"), __package__)
        verb.set_defaults(parser=verb, main=module.main)
        module.add_arguments(verb)  # an action of a verb sets its own parser and main
    args, unknown = parser.parse_known_args(argv[1:])
    if unknown:  # reported by the verb's parser, which knows the verb's flags
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return args


def _run(args):
    try:
        args.main(args)
    except UserError as error:
        print(f"encapnet {args.verb}: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print(f"encapnet {args.verb}: interrupted.", file=sys.stderr)
        return 130
    return 0


def main():
    """Entry point of the console script."""
    app.run(_run, flags_parser=_parse)
