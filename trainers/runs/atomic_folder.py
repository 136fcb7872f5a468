"""Folder with atomic file writes and a lock against concurrent writers."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from .atomic_files import replacing
from .errors import UserError

_PAUSE = 0.05  # seconds before a lock is tried a second time: `is_locked` of another process holds it for microseconds


class AtomicFolder:
    """Folder in which files are written atomically, so that each file is either complete or absent.

    Used for training runs, hyper-parameter searches, ablations and exports.

    Args:
        path: an existing folder.
    """

    lock_file = "lock"

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def file(self, name: str) -> Path:
        """Return the path of a file with the given name in this folder.

        The file need not exist.
        """
        return self.path / name

    def locked(self) -> AbstractContextManager[None]:
        """Return a context manager that prevents concurrent writes to a folder by other processes."""
        return locked(self.file(self.lock_file))

    @property
    def is_locked(self) -> bool:
        """True if a process is currently writing to this folder."""
        return is_locked(self.file(self.lock_file))

    def replacing(self, name: str) -> AbstractContextManager[Path]:
        """Return a context manager for replacing a file atomically.

        It yields the temporary path to write to.
        """
        return replacing(self.file(name))

    def write_text(self, name: str, text: str) -> None:
        """Write text to a file atomically, so that readers never see a partly written file."""
        with self.replacing(name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def write_json(self, name: str, value) -> None:
        """Write a JSON-compatible value to a file atomically."""
        self.write_text(name, json.dumps(value, indent=2) + "\n")

    def write_json_lines(self, name: str, rows: Iterable) -> None:
        """Write JSON-compatible values to a JSON Lines file (one value per line) atomically."""
        self.write_text(name, "".join(json.dumps(row) + "\n" for row in rows))

    def read_json(self, name: str, *keys: str) -> dict:
        """Read a JSON object from a file, and check that the required keys are present.

        Args:
            name: the file.
            *keys: keys that the object must have.

        Raises:
            UserError: the file is missing or damaged, holds no object, or lacks a key.
        """
        values = self._read(name, json.loads)
        missing = [key for key in keys if key not in values] if isinstance(values, dict) else ["everything"]
        if missing:
            raise UserError(f"{self.file(name)} is damaged: it lacks {', '.join(missing)}.")
        return values

    def read_json_lines(self, name: str) -> list:
        """Read a JSON Lines file (one value per line), and return the list of values.

        Raises:
            UserError: the file is missing or damaged.
        """
        return self._read(name, lambda text: [json.loads(line) for line in text.splitlines()])

    def _read(self, name: str, parse: Callable):
        try:
            return parse(self.file(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.file(name)} is missing.") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self.file(name)} cannot be read: {error}.") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file exclusively while a `with` block runs.

    The operating system releases the lock when the process dies, so no killed process leaves one behind.

    Raises:
        UserError: another process holds the lock, or the file cannot be created.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"Cannot write in {path.parent}: {error.strerror}. A run needs a writable folder.") from None
    with open(descriptor, "r+", encoding="utf-8") as file:
        try:
            _lock(file)
        except OSError:
            holder = file.read().strip() or "another process"
            raise UserError(
                f"{path.parent} is being written by {holder}. Wait until that process ends, or stop it first."
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield


def is_locked(path: Path) -> bool:
    """Return whether any process holds an exclusive lock on a file.

    The lock is that of `locked`. False if there is no such file.
    """
    try:
        with open(path, "rb") as file:  # closing it releases the lock that the question takes
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _lock(file) -> None:
    """Acquire an exclusive lock on an open file, and retry once if another process holds a lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_PAUSE)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
