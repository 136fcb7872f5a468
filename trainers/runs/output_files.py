"""Writing of files whose names the user gave, whole or not at all."""

import stat
from pathlib import Path

from .atomic_files import replacing
from .errors import UserError


def write_output(path: str | Path, content: str | bytes) -> Path:
    """Write a file atomically, with the folders that it needs, and return its path.

    An earlier file of the name stays as it was if writing fails. A device or a pipe, such as /dev/stdout, is written to
    directly.

    Args:
        path: the file.
        content: text, written in UTF-8, or bytes.

    Raises:
        UserError: the disk is full or read-only, or permission is missing; with status 1.
    """
    path, data = Path(path), content.encode("utf-8") if isinstance(content, str) else content
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            path.write_bytes(data)
            return path
        target = path.resolve()  # a symbolic link stays one
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise UserError(
            f"Cannot write {path}: {error.strerror}. Nothing was changed: free some space, or choose another place.",
            status=1,
        ) from None
    return path
