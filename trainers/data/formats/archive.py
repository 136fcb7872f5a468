"""In-memory reader for selected files of a plain or gzip-compressed tar archive."""

import gzip
import tarfile
import zlib
from collections.abc import Collection
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ...runs.errors import UserError, reason

_LARGEST = 1 << 29  # bytes of an archive without compression; those of CIFAR-10 and CIFAR-100 have 186 million
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20


def read_archive(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """Read selected files from a tar archive into memory.

    The folders inside the archive play no part, and nothing is written. The whole archive is read, so that gzip's
    checksum is checked.

    Args:
        path: the archive, compressed by gzip or not.
        names: names of the files without folders.

    Returns:
        Name -> contents.

    Raises:
        UserError: the archive cannot be read, is damaged, truncated or larger than 512 MiB, lacks one of the files,
            has one of them twice or as a link.
    """
    contents: dict[str, bytes] = {}
    with _damage_as_user_error(path), open(path, "rb") as raw:
        start = raw.read(len(_GZIP))
        raw.seek(0)
        stream = _LimitedStream(path, gzip.GzipFile(fileobj=raw) if start == _GZIP else raw)
        with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # `read` suffices
            for member in archive:
                name = PurePosixPath(member.name).name
                if name not in names or member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise UserError(
                        f"{path}: its entry {member.name} is a link or no regular file. Download the archive again."
                    )
                if name in contents:
                    raise UserError(f"{path} holds two files named {name}. Download the archive again.")
                contents[name] = archive.extractfile(member).read()
        while stream.read(_CHUNK):
            pass
    if missing := [name for name in names if name not in contents]:
        raise UserError(
            f"{path} has no file named {', '.join(missing)}: it is another archive or truncated. Download it again."
        )
    return contents


class _LimitedStream:
    """Byte stream that raises an error after too many bytes, to protect from decompression bombs."""

    def __init__(self, path: Path, stream):
        self._path, self._stream, self._left = path, stream, _LARGEST

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise UserError(f"{self._path} holds more than {_LARGEST >> 20} MiB, more than the data set's own archive.")
        return data


@contextmanager
def _damage_as_user_error(path: Path):
    """Convert errors about a damaged tar archive, raised in a `with` block, to a `UserError` that names the archive."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise UserError(
            f"{path} is damaged, truncated or no tar archive: {reason(error)}. Download it again."
        ) from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
