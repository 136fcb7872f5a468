"""Recognition of errors of the disk: no space, a read-only file system, missing permission, a failing device."""

import errno
from pathlib import Path

from .atomic_files import final_path

# Errors that the user can mend; any other OSError is a bug.
DISK_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENAMETOOLONG,
)
# In messages of libraries that write by themselves: TensorFlow's, HDF5's.
_TEXTS = ("No space left on device", "Disk quota exceeded", "Read-only file system", "File too large", "errno = 28")


def disk_error(error: BaseException) -> str | None:
    """Return a sentence about a file that cannot be read or written, or None for an exception of another kind.

    Args:
        error: an `OSError`, or an exception of a library whose message names the reason.
    """
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        name = final_path(Path(error.filename)) if isinstance(error.filename, str) else "A file"
        return f"{name} cannot be read or written: {error.strerror}."
    if text := next((text for text in _TEXTS if text in str(error)), None):
        return f"A file cannot be written: {'No space left on device' if text == 'errno = 28' else text}."
    return None
