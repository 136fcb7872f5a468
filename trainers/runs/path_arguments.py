"""Checks of paths that users name, before anything is read or written there.

Every path on the command line, in a configuration file and in the environment passes through `check_path`.
"""

import errno
import os
import stat
from pathlib import Path

from .errors import UserError

FILE, FOLDER, ANY, NEW_FILE, NEW_FOLDER = "file", "folder", "any", "new_file", "new_folder"
_NAME_BYTES, _PATH_BYTES = 255, 4095  # limits of Linux and macOS file systems
_PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")  # what `<(COMMAND)` of a shell stands for
_REASONS = {
    errno.EACCES: "you have no permission to look there",
    errno.ELOOP: "its symbolic links form a circle",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOTDIR: "a part of it is a file and no folder",
}


def check_path(flag: str | None, text: str, use: str = ANY) -> str:
    """Return a path that a user typed, or raise UserError if it cannot be one for the intended use.

    Whether there is a file is left to the caller, whose message says what was expected.

    Args:
        flag: name of the flag, such as "--out"; None for a positional argument.
        text: the path.
        use: "file" or "folder" to read, "any" of the two, "new_file" or "new_folder" to write.

    Raises:
        UserError: the path is empty, too long, not UTF-8 or has control characters; it cannot be looked at, is of
            another kind, or nothing can be created there.
    """
    shown = text if flag is None else f"{flag}={text}"
    check_path_text(shown, text)
    path = Path(text).expanduser()
    mode = _mode(shown, path)
    if mode is None:
        if use in (NEW_FILE, NEW_FOLDER):
            _check_parent(shown, path)
        return text
    if stat.S_ISDIR(mode):
        if use in (FILE, NEW_FILE):
            raise UserError(f"{shown}: this is a folder. Expected a file.")
        if use in (FOLDER, NEW_FOLDER) and not os.access(path, os.R_OK | os.X_OK):
            raise UserError(f"{shown}: you have no permission to read this folder.")
    elif use in (FOLDER, NEW_FOLDER):
        raise UserError(f"{shown}: this is no folder. Expected a folder.")
    elif use in (FILE, ANY) and not _may_be_read(path, mode):
        raise UserError(f"{shown}: this is a device or a pipe. Expected a file.")
    elif use == NEW_FILE and not os.access(path, os.W_OK):
        raise UserError(f"{shown}: you have no permission to write this file.")
    return text


def check_path_text(shown: str, text: str) -> None:
    """Raise `UserError` if a text cannot be a path, whatever is on the disk.

    Args:
        shown: what the message begins with.
        text: the path.
    """
    if not text.strip():
        raise UserError(f"{shown}: the path is empty. Expected the name of a file or folder.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{shown}: the path is not valid UTF-8. Rename the file or folder.") from None
    if not text.isprintable() and any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise UserError(f"{shown}: the path has control characters, such as a line break. Expected a name without.")
    longest = max(len(os.fsencode(part)) for part in text.split("/"))
    if longest > _NAME_BYTES or len(os.fsencode(text)) > _PATH_BYTES:
        raise UserError(
            f"{shown[:80]}...: the path is too long. Expected names of at most {_NAME_BYTES} bytes, and at most "
            f"{_PATH_BYTES} in all."
        )


def refuse_devices(path: Path) -> None:
    """Raise OSError if a path is a device or a named pipe, because reading it may never end.

    Pipes of the shell are read: `<(COMMAND)` and the standard input.
    """
    if not _may_be_read(path, path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is a device or a pipe and no file", str(path))


def _mode(shown: str, path: Path) -> int | None:
    """Return the file mode of a path, or None if there is no file or folder."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise UserError(f"{shown}: {reason}. Expected a path that can be opened.") from None


def _check_parent(shown: str, path: Path) -> None:
    """Raise `UserError` if a new file or folder cannot be created in the nearest existing folder above it."""
    parent = path.absolute().parent
    while not os.path.lexists(parent):
        parent = parent.parent
    if not parent.is_dir():
        raise UserError(f"{shown}: {parent} is no folder, so nothing can be created in it.")
    if not os.access(parent, os.W_OK | os.X_OK):
        if os.statvfs(parent).f_flag & os.ST_RDONLY:
            raise UserError(f"{shown}: {parent} is in a read-only file system, so nothing can be created in it.")
        raise UserError(f"{shown}: you have no permission to create anything in {parent}.")


def _may_be_read(path: Path, mode: int) -> bool:
    is_device_or_pipe = not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return not is_device_or_pipe or (stat.S_ISFIFO(mode) and str(path).startswith(_PIPES))
