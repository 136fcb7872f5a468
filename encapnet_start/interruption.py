"""Functions that control how Ctrl-C is handled while Keras and TensorFlow are being imported."""

import os
import signal
import sys

_STATUS = 128 + signal.SIGINT  # the exit status that a shell reports after SIGINT: 130


def end_at_ctrl_c() -> None:
    """Make Ctrl-C end the process immediately with a one-line message, instead of raising `KeyboardInterrupt`.

    For the time in which there is nothing to save.

    A `KeyboardInterrupt` would not do: code in C that imports modules reports it as a failed import or drops it. A
    SIGINT that the process ignores, as a job in the background does, stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_at_ctrl_c() -> None:
    """Restore Python's default behaviour, in which Ctrl-C raises `KeyboardInterrupt`."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number, frame):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one line, however often the user presses it
    if sys.stderr is not None:
        os.write(sys.stderr.fileno(), b"Interrupted.\n")
    os._exit(_STATUS)
