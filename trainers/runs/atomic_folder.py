"""Folder with atomic file writes and a lock against concurrent writers."""

import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from .atomic_files import replacing
from .errors import UserError
from .json_files import parse_json, parse_json_lines, type_error
from .text_files import read_text

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
            UserError: the file is missing or damaged, holds no object, lacks a key, or has a value of another type
                than `json_files.TYPES` says.
        """
        values = self._read(name, parse_json)
        if not isinstance(values, dict):
            raise UserError(f"{self.file(name)} is damaged: it is no JSON object.")
        if missing := [key for key in keys if key not in values]:
            raise UserError(f"{self.file(name)} is damaged: it lacks {', '.join(missing)}.")
        if problem := type_error(name, values):
            raise UserError(f"{self.file(name)} is damaged: {problem}.")
        return values

    def read_json_lines(self, name: str) -> list[dict]:
        """Read a JSON Lines file (one object per line), and return the list of objects.

        Raises:
            UserError: the file is missing or damaged, or a line has a value of another type than `json_files.TYPES`
                says.
        """
        rows = self._read(name, parse_json_lines)
        for number, row in enumerate(rows, start=1):
            if problem := type_error(name, row):
                raise UserError(f"{self.file(name)} is damaged: in line {number}, {problem}.")
        return rows

    def _read(self, name: str, parse: Callable):
        try:
            return parse(read_text(self.file(name)))
        except FileNotFoundError:
            raise UserError(f"{self.file(name)} is missing.") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self.file(name)} cannot be read: {error}.") from None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file exclusively while a `with` block runs.

    The operating system releases the lock when the process dies, so no killed process leaves one behind.

    The lock file is a file of its own: a symbolic link in its place is refused, because its target would be emptied.

    Raises:
        UserError: another process holds the lock, or the file cannot be created.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if path.is_symlink():
            raise UserError(f"{path} is a symbolic link and no lock file. Remove it.") from None
        raise UserError(f"Cannot write in {path.parent}: {error.strerror}. A run needs a writable folder.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"{path} is no regular file, so it cannot be the lock file. Remove it.")
    with open(descriptor, "r+", encoding="utf-8", errors="replace") as file:
        try:
            _lock(file)
        except OSError:
            holder = file.read(200).strip() or "another process"
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
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # closing it releases the lock that the question takes
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
