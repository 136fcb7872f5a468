"""Filter process that keeps TensorFlow's log messages below the level ERROR off the terminal.

TensorFlow's C++ code writes to file descriptor 2 and cannot be told to be quiet: what it logs before its log is set up
is written whatever `TF_CPP_MIN_LOG_LEVEL` says. So descriptor 2 becomes a pipe to a small process of its own. A thread
would not do: the message of a process that aborts would be lost with it.
"""

import atexit
import contextlib
import logging
import os
import select
import signal
import sys
import time
from typing import NoReturn

from .log_filter import LogFilter

_IGNORED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_PATIENCE_SECONDS = 0.1  # for the rest of a line that does not end yet
_FAREWELL_SECONDS = 1.0  # for the last lines to arrive at the terminal before the command ends


def hide() -> None:
    """Start hiding TensorFlow's log messages below the level ERROR, unless an environment variable enables them.

    Called before TensorFlow is imported, while the process has one thread. Python's `sys.stderr` keeps writing to the
    terminal, with nothing in between. Environment variables such as `TF_CPP_MIN_LOG_LEVEL=0` ask for the log.
    """
    if _is_wanted():
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).addFilter(_is_error)  # a level would not last: TensorFlow's converter sets absl's anew
    if hasattr(os, "fork"):
        with contextlib.suppress(OSError):  # there are no more processes or files
            _start_filter()


def _is_error(record: logging.LogRecord) -> bool:
    """Return whether a Python log record has the level ERROR or above."""
    return record.levelno >= logging.ERROR


def _is_wanted() -> bool:
    """Return whether an environment variable such as `TF_CPP_MIN_LOG_LEVEL=0` requests TensorFlow's log messages."""
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "")
    return level in ("0", "1") or any(os.environ.get(f"TF_CPP_{name}") for name in ("VMODULE", "MAX_VLOG_LEVEL"))


def _start_filter():
    """Start a process that filters TensorFlow's log, and redirect file descriptor 2 to that process by a pipe."""
    if sys.stderr is None or sys.stderr.fileno() != 2:  # closed, or redirected in this process
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    read_end, write_end = os.pipe()
    # The new process must not run this one's handlers, which print and end with a status.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED_SIGNALS)
    try:
        child = os.fork()
        if child == 0:
            _run_filter(read_end, mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.dup2(write_end, 2)
    os.close(read_end)
    os.close(write_end)
    encoding, errors = sys.stderr.encoding, sys.stderr.errors
    sys.stderr = open(terminal, "w", buffering=1, encoding=encoding, errors=errors)  # noqa: SIM115 (it stays open)
    atexit.register(_wait_for_filter, os.getpid(), child, terminal)


def _run_filter(read_end: int, mask) -> NoReturn:
    """Copy text from a pipe to standard error, except TensorFlow messages below ERROR, until the pipe is closed.

    The filter ends with the last process that has the pipe, so Ctrl-C and other signals to the process group leave it
    alone.
    """
    try:
        for number in _IGNORED_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.dup2(read_end, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # whoever reads the command's output must see its end
        log = LogFilter()
        while True:
            arrived = not log.holds_text or select.select([0], [], [], _PATIENCE_SECONDS)[0]
            data = os.read(0, 65536) if arrived else b""
            _write(log.feed(data) if data else log.flush())
            if arrived and not data:
                break
    finally:
        os._exit(0)


def _write(data: bytes):
    while data:
        try:
            data = data[os.write(2, data) :]
        except OSError:  # the terminal is gone; the pipe must be read all the same
            return


def _wait_for_filter(owner: int, child: int, terminal: int):
    """Close the pipe to the process that filters the log output, and wait briefly until that process has ended."""
    if os.getpid() != owner:
        return
    os.dup2(terminal, 2)
    deadline = time.monotonic() + _FAREWELL_SECONDS
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(child, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.002)
