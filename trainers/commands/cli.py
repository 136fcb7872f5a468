"""Entry point of the `encapnet` command line, which parses arguments, runs a subcommand and reports errors."""

import argparse
import importlib
import os
import platform
import select
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from absl import app, flags

from ..runs.disk_errors import disk_error
from ..runs.errors import UserError
from ..runs.lasting_output import outlasting_the_terminal
from ..runs.run_directory import package_versions
from ..runs.terminal import printable_lines
from .parser import Parser

VERBS = {
    "train": "Train a capsule network; with no flags, on scikit-learn's digits.",
    "evaluate": "Evaluate a finished run's saved model.",
    "tune": "Search feedback_weight, epsilon and other settings with KerasTuner, on one machine or several.",
    "ablate": "Run the rows of one of the paper's tables; resumes an interrupted table.",
    "report": "Write the report.html of finished runs again, and a page that compares several.",
    "runs": "List runs with their states, accuracies and the settings in which they differ.",
    "data": "Inspect or prepare a data set, build h-ImageNet, find the hardest classes.",
    "export": "Export a finished run as SavedModel and TFLite files, verified against it, with serving files.",
    "predict": "Classify image files with a run, an export or a server.",
    "explain": "Write a page that shows why a model gives images their scores.",
}
# Modules of the verbs that are not in this package. A verb's module has `add_arguments(parser)` and `main(args)`, and
# may have `check_arguments(args)`, which raises UserError. All but `main` run before Keras is imported, and do not
# import it. With `NEEDS_KERAS = False` in the module, `main` runs without Keras, too. `SAFE` says what is left after an
# error of the disk, and with `OUTLASTS_TERMINAL = True` the verb goes on when its terminal is closed.
_MODULES = {name: f"...export.commands.{name}" for name in ("export", "predict", "explain")}
_MAY_BE_EMPTY = ("--tflite",)  # flags of a list of things to make: no file is made
_BROKEN_PIPE = 128 + 13  # the exit status that a shell reports after SIGPIPE


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command-line arguments of `encapnet` from a list such as `sys.argv`."""
    parser = Parser(
        prog="encapnet",
        description="Capsule networks in Keras: train, evaluate, export.",
        epilog="Start with: encapnet train. Each verb has its own help: encapnet train --help.",
    )
    parser.add_argument("--version", action=_PrintVersions, nargs=0, help="Print the versions and exit.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, help in VERBS.items():
        verb_parser = verbs.add_parser(name, help=help, description=help)
        if name not in argv:  # only the typed verb's module is imported, because the exports' need further packages
            continue
        module = importlib.import_module(_MODULES.get(name, f".{name}"), __package__)
        # Set before the verb adds its arguments, so that a verb with actions can set another main for each of them.
        verb_parser.set_defaults(
            parser=verb_parser,
            main=module.main,
            check=getattr(module, "check_arguments", None),
            needs_keras=getattr(module, "NEEDS_KERAS", True),
            safe=module.SAFE,
            outlasts_terminal=getattr(module, "OUTLASTS_TERMINAL", False),
        )
        module.add_arguments(verb_parser)
    try:
        words = [_expand_home(_checked_word(word)) for word in argv[1:]]
    except UserError as error:
        parser.exit(error.status, f"{parser.prog}: {error}\n")
    args, unknown = parser.parse_known_args(words)
    flags.FLAGS.mark_as_parsed()  # absl's own flags are not on our command line, and `app.run` reads them
    if unknown:  # reported by the verb's parser, which knows the verb's flags
        args.parser.refuse_unknown(unknown)
    return args


def _checked_word(word: str) -> str:
    """Return a command-line argument unchanged, or raise `UserError` if it is empty or a flag without a value.

    Scripts write such arguments where a variable is not set: "", `--name=` and `--name=--`.
    """
    flag, equals, value = word.partition("=")
    if not word.strip():
        raise UserError("An argument is empty. Leave it out, or check the variable that it comes from.")
    if flag.startswith("--") and equals and (value == "--" or not (value.strip() or flag in _MAY_BE_EMPTY)):
        raise UserError(f"{word}: the flag has no value. Leave it out, or give it one.")
    return word


def _expand_home(word: str) -> str:
    """Replace `~` at the beginning of a flag's value by the path of the home folder, as in `--data_dir=~/photos`.

    Most shells replace it only at the beginning of a word.
    """
    flag, equals, value = word.partition("=")
    if flag.startswith("--") and equals and value.split("/")[0].startswith("~"):
        return f"{flag}={os.path.expanduser(value)}"
    return word


class _PrintVersions(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        own, keras, tensorflow = package_versions("encapnet_tf", "keras", "tensorflow").values()
        print(f"encapnet_tf {own}, Keras {keras}, TensorFlow {tensorflow}, Python {platform.python_version()}")
        parser.exit()


def _run(args: argparse.Namespace, load_library: Callable[[], None] = lambda: None) -> int:
    """Run the `encapnet` subcommand that the user chose, and return the exit status of the process."""
    try:
        if args.check is not None:
            args.check(args)
        if args.needs_keras:
            load_library()
        with outlasting_the_terminal() if args.outlasts_terminal else nullcontext():
            args.main(args)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _reader_has_ended():
            raise
        _drop_output()
        return _BROKEN_PIPE
    except UserError as error:
        return _report(args, error)
    except KeyboardInterrupt:
        print(f"encapnet {args.verb}: interrupted.", file=sys.stderr)
        return 130
    except Exception as error:
        if (problem := disk_error(error)) is None:
            raise
        return _report(args, UserError(f"{problem} {args.safe}", status=1))
    return 0


def _report(args: argparse.Namespace, error: UserError) -> int:
    """Print an error message, and return the exit status."""
    try:
        sys.stdout.flush()  # what was printed goes before the message
    except OSError:  # the reader has ended, or the disk is full
        _drop_output()
    print(f"encapnet {args.verb}: {printable_lines(str(error))}", file=sys.stderr)
    return error.status


def _drop_output() -> None:
    """Connect standard output to /dev/null, because Python writes the rest of its buffer when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reader_has_ended() -> bool:
    """Return whether the program to which standard output is piped, such as `head`, has exited."""
    poll = select.poll()
    poll.register(sys.stdout, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def main(load_library: Callable[[], None] = lambda: None) -> None:
    """Run the `encapnet` command line and end the process with an exit status.

    Args:
        load_library: function that imports `encapnet_tf`, if it is not imported yet. It is called once there is work to
            do: help texts and messages about mistakes on the command line do not wait for Keras and TensorFlow.
    """
    app.run(lambda args: _run(args, load_library), flags_parser=_parse)
