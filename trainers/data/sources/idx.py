"""IDX files, the format of MNIST and Fashion-MNIST, plain or gzipped."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ...runs.errors import UserError

_UNSIGNED_BYTE = 0x08
_DEFLATE_LIMIT = 1032  # No deflate stream expands further, so a header that promises more is wrong.
_CHUNK = 1 << 20


def read_idx(path, ndim: int) -> np.ndarray:
    """Reads an IDX file of unsigned bytes.

    Args:
        path: the file; a name that ends in `.gz` is gunzipped.
        ndim: expected dimensions, 3 for images (n, height, width), 1 for labels (n,).

    Returns:
        uint8 array.

    Raises:
        UserError: the file is missing, empty, no IDX file of unsigned bytes, or its header promises another number of
            bytes than the file holds. Memory is taken only for bytes that are really there.
    """
    path = Path(path)
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            shape = _read_header(path, file, ndim)
            count = math.prod(shape)
            if not count:
                raise UserError(f"{path} promises no data: its header says {shape}.")
            room = path.stat().st_size * (_DEFLATE_LIMIT if path.suffix == ".gz" else 1)
            if count > room:
                raise UserError(
                    f"{path} is truncated: its header promises {count:,} bytes {shape}; it cannot hold them."
                )
            data = _read_at_most(file, count + 1)
    except OSError as error:  # gzip.BadGzipFile too
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged or truncated: {error}. Fetch it again.") from None
    if len(data) != count:
        found = f"{len(data):,}" if len(data) < count else "more"
        raise UserError(f"{path} is damaged: its header promises {count:,} bytes {shape}; it holds {found}.")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_header(path, file, ndim):
    magic = file.read(4)
    if not magic:
        raise UserError(f"{path} is empty.")
    if magic != bytes((0, 0, _UNSIGNED_BYTE, ndim)):
        raise UserError(
            f"{path} is no IDX file of unsigned bytes in {ndim} dimensions: "
            f"it should begin with 0000080{ndim} (hexadecimal). Found {magic.hex()}."
        )
    sizes = file.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise UserError(f"{path} is truncated: it ends within its header.")
    return struct.unpack(f">{ndim}I", sizes)


def _read_at_most(file, limit):
    data = bytearray()
    while len(data) < limit and (chunk := file.read(min(_CHUNK, limit - len(data)))):
        data += chunk
    return data
