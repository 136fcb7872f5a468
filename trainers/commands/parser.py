"""Argument parser of the `encapnet` command, with readable help and suggestions for misspelt names."""

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl.flags import argparse_flags

from ..config.suggestions import did_you_mean
from ..runs.errors import UserError
from ..runs.terminal import printable_lines

_USAGE_FLAGS = 10  # a usage line with more optional flags does not list them


class Parser(argparse_flags.ArgumentParser):
    """Argument parser that rejects abbreviated flags and suggests the most similar name for a misspelt one."""

    def __init__(self, **kwargs):
        # absl's own flags would have no effect here, and `--flagfile` would read files.
        options = {"allow_abbrev": False, "formatter_class": _HelpFormatter, "inherited_absl_flags": None}
        super().__init__(**{**options, **kwargs})
        for action in self._actions:
            if "--helpfull" in action.option_strings:  # absl's, which shows the same
                action.help = argparse.SUPPRESS
        self.register("type", int, _reader(int, "an integer"))
        self.register("type", float, _reader(float, "a number"))

    def parse_known_args(self, args=None, namespace=None):
        """Parse command-line arguments, and exit with an error message if parsing raises a `UserError`."""
        try:
            return super().parse_known_args(args, namespace)
        except UserError as error:
            self.exit(error.status, f"{self.prog}: {error}\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the process with a status, after printing a message whose control characters are escaped."""
        super().exit(status, None if message is None else printable_lines(message))

    def error(self, message: str) -> NoReturn:
        """Print an error message and exit with status 2."""
        self.exit(2, f"{self.prog}: {message}\nSee `{self.prog} --help`.\n")

    def refuse_unknown(self, arguments: Sequence[str]) -> NoReturn:
        """Exit with an error message that lists unknown command-line arguments and suggests the flag that was meant."""
        flags = [argument.split("=")[0] for argument in arguments if argument.startswith("-")]
        hint = ""
        if flags and flags[0] in self._option_string_actions:
            hint = f" (flags follow the subcommand: {self.prog} {arguments[0]})"
        elif flags:
            hint = did_you_mean(flags[0], (flag for flag in self._option_string_actions if flag.startswith("--")))
        self.error(f"unrecognized arguments: {' '.join(arguments)}{hint}")

    def _check_value(self, action, value):
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += did_you_mean(str(value), map(str, action.choices or ()))
            raise


class _HelpFormatter(argparse.HelpFormatter):
    """Argparse help formatter that shortens the usage lines of commands with many optional flags."""

    def add_usage(self, usage, actions, groups, prefix=None):
        actions = [action for action in actions if action.help != argparse.SUPPRESS]
        optional = [action for action in actions if action.option_strings and not action.required]
        if len(optional) > _USAGE_FLAGS:
            flags = argparse.Action([], "flags", nargs=argparse.ZERO_OR_MORE, metavar="--FLAG=VALUE")
            actions = [flags, *(action for action in actions if action not in optional)]
            groups = []
        super().add_usage(usage, actions, groups, prefix)


def _reader(kind: type, expected: str) -> Callable[[str], object]:
    """Return a function that parses a command-line value, and that raises a readable error for invalid text."""

    def read(text):
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} must be {expected}") from None

    return read
