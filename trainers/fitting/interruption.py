"""Context managers that handle SIGTERM, Ctrl-C and disk errors during training."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..runs.disk_errors import DISK_ERRORS
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory


class StopSignal:
    """Context manager that sets a flag on SIGTERM, so that a training loop can finish the current step and save.

    SIGINT (Ctrl-C) raises `KeyboardInterrupt` as usual and sets a flag too: Python drops an exception that is raised in
    a destructor or in a callback from C, so a training loop also calls `raise_lost_interrupt` after each step. A SIGINT
    that the process ignores, as a job in the background does, stays ignored.

    Only the main thread of a program may handle signals; in any other thread the context manager does nothing.

    Attributes:
        requested: whether SIGTERM has arrived.
        interrupted: whether SIGINT has arrived.
    """

    status = 128 + signal.SIGTERM  # the exit status that a shell reports after SIGTERM: 143

    def __init__(self) -> None:
        self.requested = False
        self.interrupted = False

    def __enter__(self):
        self._previous_handlers = {}
        if threading.current_thread() is threading.main_thread():
            self._previous_handlers[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._handle_sigterm)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._previous_handlers[signal.SIGINT] = signal.signal(signal.SIGINT, self._handle_sigint)
        return self

    def __exit__(self, *exception):
        for number, handler in self._previous_handlers.items():
            if handler is not None:  # None stands for a handler that was not installed from Python
                signal.signal(number, handler)

    def raise_lost_interrupt(self) -> None:
        """Raise `KeyboardInterrupt` if Ctrl-C was pressed but Python dropped the exception."""
        if self.interrupted:
            raise KeyboardInterrupt

    def _handle_sigterm(self, number, frame):
        self.requested = True

    def _handle_sigint(self, number, frame):
        self.interrupted = True
        raise KeyboardInterrupt


@contextmanager
def interruption_as_user_error(run: RunDirectory) -> Iterator[None]:
    """Convert Ctrl-C and disk errors into a `UserError` whose message shows the command that resumes training."""
    command = f"encapnet train --resume={run.path}"
    try:
        yield
    except KeyboardInterrupt:
        message = f"Interrupted. What was saved so far is in {run.path}; resume with: {command}"
        raise UserError(message, status=130) from None
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        message = (
            f"A file of the run cannot be written: {error}. Free some disk space, then resume from the last "
            f"checkpoint with: {command}"
        )
        raise UserError(message, status=1) from error
