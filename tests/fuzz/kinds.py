"""Kinds of wrong input, with the function that tries a number of cases of each and the numbers to try."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.children import problems_of_calls
from tests.fuzz.damaged_files import problems_of_models, problems_of_run_folders
from tests.fuzz.hostile_answers import problems_of_answers

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Kind:
    """Kind of wrong input.

    Attributes:
        title: what a case is.
        problems: function of (seed, count) that returns a text for each case that is not handled well.
        few, many: cases of a seed in continuous integration, and in the slow tests.
    """

    title: str
    problems: Callable[[int, int], list[str]]
    few: int
    many: int


def _problems_of_command_lines(seed: int, count: int) -> list[str]:
    return _problems_of_commands(seed, count, 0)


def _problems_of_configuration_files(seed: int, count: int) -> list[str]:
    return _problems_of_commands(seed, 0, count)


def _problems_of_commands(seed: int, lines: int, files: int) -> list[str]:
    """Run the cases in a process of its own, without Keras."""
    command = [sys.executable, "-m", "tests.fuzz.commands", str(seed), str(lines), str(files)]
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    failure = (
        [f"the runner ended with status {result.returncode}: {result.stderr[-2000:]}"] if result.returncode else []
    )
    return [*result.stdout.splitlines(), *failure]


def _problems_of_wrong_calls(seed: int, count: int) -> list[str]:
    from tests.core.conformance.bad_inputs import CLEAR
    from tests.fuzz.calls import wrong_calls

    return problems_of_calls(wrong_calls(seed, count), CLEAR)


KINDS = {
    "command_lines": Kind("command lines", _problems_of_command_lines, few=200, many=2000),
    "configuration_files": Kind("configuration files", _problems_of_configuration_files, few=60, many=600),
    "calls": Kind(
        "calls of layers, functions, losses, metrics, networks, callbacks", _problems_of_wrong_calls, 200, 2000
    ),
    "run_folders": Kind("damaged files of runs", problems_of_run_folders, few=100, many=1000),
    "models": Kind("damaged model files", problems_of_models, few=30, many=300),
    "answers": Kind("hostile answers of a server", problems_of_answers, few=300, many=3000),
}
