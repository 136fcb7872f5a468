"""One process at a time writes a run."""

import fcntl
import os
import socket
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError


@contextmanager
def locked(path: Path):
    """Holds the lock that is the file `path` while the block runs. The system frees it when the process dies.

    Raises:
        UserError: another process holds it, or the file cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"Cannot write in {path.parent}: {error.strerror}. A run needs a folder to write to.") from None
    with open(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = file.read().strip() or "another process"
            raise UserError(
                f"{path.parent} is being written by {holder}. Wait for its end, or stop that process first."
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
