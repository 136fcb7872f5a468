"""Output stream for long commands that keeps them running after their terminal or pipe has been closed."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class LastingOutput:
    """Text stream that ignores errors of its terminal or pipe, and drops all text after the first error.

    Args:
        stream: the stream to write to; its other attributes are available, too.
    """

    def __init__(self, stream):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, and return its number of characters."""
        try:
            return self._stream.write(text)
        except OSError:  # EPIPE of a pipe, EIO of a terminal, ENOSPC of a log file
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Write the buffered text."""
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def _drop(self):
        """Connect the stream to nothing, so that Python can empty its buffer when the process ends."""
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self._stream.fileno())
        os.close(nothing)


@contextmanager
def outlasting_the_terminal() -> Iterator[None]:
    """Let the process go on within a `with` block when its terminal is closed or its output can no longer be written.

    The signal SIGHUP, which a closed terminal sends, is ignored.
    """
    streams, handler = (sys.stdout, sys.stderr), None
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.stdout, sys.stderr = map(LastingOutput, streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        if handler is not None:
            signal.signal(signal.SIGHUP, handler)
