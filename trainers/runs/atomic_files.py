"""Functions that write and rename files atomically, so that readers never see a partly written file."""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_MAY_WRITE = ContextVar("may_write", default=True)
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}-(.+)")


@contextmanager
def no_writing() -> Iterator[None]:
    """Make every atomic write within a `with` block fail with an `OSError`, as on a read-only file system.

    Caches of data are then left out, as they are where a folder of data cannot be written.
    """
    token = _MAY_WRITE.set(False)
    try:
        yield
    finally:
        _MAY_WRITE.reset(token)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path for writing a file, and rename the file to its final path if the `with` block succeeds.

    The file is flushed to disk before the rename and its folder after, so a power failure leaves the old file or the
    new one. If the block raises, the temporary file is removed and `path` stays as it was.
    """
    if not _MAY_WRITE.get():
        raise OSError(errno.EROFS, "a dry run writes nothing", str(path))
    # The whole name is kept, because Keras takes the file format from the suffix.
    temporary = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def final_path(path: Path) -> Path:
    """Return the final path of a temporary file that `replacing` made, or the path itself for any other file."""
    match = _TEMPORARY.fullmatch(path.name)
    return path.with_name(match[1]) if match else path


def remove_temporary_files(folder: Path) -> None:
    """Delete the temporary files of processes that were killed while writing to a folder.

    No other process may be writing there.
    """
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink()


def set_aside(path: Path, suffix: str, folder: Path | None = None) -> Path:
    """Rename a damaged or unfinished file or folder by adding a suffix and number, and return the new path.

    Args:
        path: the file or folder.
        suffix: added to the name, before the lowest number that makes it unused: seed0 -> seed0-unfinished1.
        folder: folder to move it into, created if needed. Default: the folder that it is in.
    """
    folder = path.parent if folder is None else folder
    folder.mkdir(exist_ok=True)
    number = 1
    while (aside := folder / f"{path.name}{suffix}{number}").exists():
        number += 1
    return path.rename(aside)


def _flush(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
