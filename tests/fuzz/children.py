"""Child processes for cases that may crash, hang or exit: forked from this one before TensorFlow runs an operation."""

import contextlib
import os
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SECONDS = 30  # after which a case hangs
_HANG = 99


@dataclass(frozen=True)
class Result:
    """End of a child process.

    Attributes:
        status: its exit status; minus the number of the signal that ended it.
        output: what it wrote to standard output and standard error.
    """

    status: int
    output: str


def in_child(function: Callable[[], int | None], seconds: int = SECONDS) -> Result:
    """Run a function in a forked process, and return its status and its output.

    Args:
        function: it returns the exit status, None for 0; an exception that it raises is printed, with status 1.
        seconds: time limit, after which the status is minus SIGKILL or 99.
    """
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            _run(function, output.fileno(), seconds)
        _, code = os.waitpid(child, 0)
        output.seek(0)
        return Result(os.waitstatus_to_exitcode(code), output.read().decode("utf-8", "replace"))


def _run(function, output: int, seconds: int):
    """Run a function in this process, and end the process without the handlers of the test runner."""
    status = 1
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.signal(signal.SIGALRM, lambda *_: os._exit(_HANG))
        signal.alarm(seconds)
        with (
            open(1, "w", closefd=False) as stdout,
            open(2, "w", closefd=False) as stderr,
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            try:
                status = function() or 0
            except SystemExit as exit:
                status = exit.code if isinstance(exit.code, int) else 1
            except BaseException:
                traceback.print_exc(file=stderr)
    finally:
        os._exit(status)


def problems_of_calls(calls: Iterator[tuple[str, Callable]], clear: tuple[type[Exception], ...]) -> list[str]:
    """Make calls in one forked process, and return a line for each that raises another exception than the clear ones.

    Args:
        calls: pairs of a name and a function without arguments.
        clear: the exceptions that a bad call may raise.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"

        def run():
            with open(log, "w", buffering=1) as file:
                for name, call in calls:
                    file.write(f"? {name}\n")
                    signal.alarm(SECONDS)
                    try:
                        call()
                    except clear:
                        pass
                    except Exception as error:
                        file.write(f"! {name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}\n")
                file.write("done\n")

        result = in_child(run)
        lines = log.read_text().splitlines() if log.exists() else []
    problems = [line[2:] for line in lines if line.startswith("! ")]
    if not lines or lines[-1] != "done":
        last = lines[-1][2:] if lines else "the first call"
        problems.append(f"{last}: the process ended with status {result.status}. {result.output[-500:]}")
    return problems
