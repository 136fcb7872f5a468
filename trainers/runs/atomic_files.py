"""Files that are whole, and on the disk, before they take their name."""

import os
import re
import secrets
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\.[0-9a-f]{8}-.+")


@contextmanager
def replacing(path: Path):
    """Gives the path of a temporary sibling to write to; it takes the name when the block ends well.

    It is flushed to the disk before it is renamed, and the folder after, so that a machine that loses power has the old
    file or the new one.
    """
    temporary = path.with_name(
        f".{secrets.token_hex(4)}-{path.name}"
    )  # keeps the suffix: Keras reads the format off it
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path):
    """Removes what a process that was killed left of its temporary files. Nobody else may be writing here."""
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink()


def _flush(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
