"""Reader for files in the IDX format, in which MNIST and Fashion-MNIST are distributed.

Ours, since Keras, TFDS and scikit-learn read these data sets only from downloads of their own; this reader takes the
user's files, and names a damaged one.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ...runs.errors import UserError

_UNSIGNED_BYTE = 0x08
_DEFLATE_LIMIT = 1032  # No deflate stream expands further, so a header that promises more is wrong.
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20


def read_idx(path, ndim: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes into an array, and raise an error if the file is truncated or damaged.

    Memory is allocated only for bytes that the file really holds, whatever its header says.

    Args:
        path: the file, compressed by gzip or not, whatever its name.
        ndim: expected dimensions, 3 for images (n, height, width), 1 for labels (n,).

    Returns:
        uint8 array.

    Raises:
        UserError: the file is missing, empty, no IDX file of unsigned bytes, or its header gives another number of
            bytes than the file holds.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            compressed = file.read(len(_GZIP)) == _GZIP
        with (gzip.open if compressed else open)(path, "rb") as file:
            shape = _read_header(path, file, ndim)
            count = math.prod(shape)
            if not count:
                raise UserError(f"{path} is empty: its header gives the shape {shape}. Download the file again.")
            if count > path.stat().st_size * (_DEFLATE_LIMIT if compressed else 1):
                raise UserError(
                    f"{path} is truncated: its header promises {count:,} bytes {shape}, more than a file of its size "
                    "can hold. Download the file again."
                )
            data = _read_at_most(file, count + 1)
    except OSError as error:  # also gzip.BadGzipFile
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged or truncated: {error}. Download the file again.") from None
    if len(data) != count:
        size = f"{len(data):,}" if len(data) < count else "more"
        raise UserError(
            f"{path} is damaged: its header promises {count:,} bytes {shape}, and the file holds {size}. "
            "Download the file again."
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_header(path: Path, file, ndim: int) -> tuple[int, ...]:
    """Read and check the header of an IDX file, and return the shape of the array stored in the file."""
    magic = file.read(4)
    if not magic:
        raise UserError(f"{path} is empty. Download the file again.")
    if magic != bytes((0, 0, _UNSIGNED_BYTE, ndim)):
        raise UserError(
            f"{path} is no IDX file of unsigned bytes in {ndim} dimensions: "
            f"expected 0000080{ndim} (hexadecimal) at its beginning. Found {magic.hex()}."
        )
    sizes = file.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise UserError(f"{path} is truncated: it ends within its header. Download the file again.")
    return struct.unpack(f">{ndim}I", sizes)


def _read_at_most(file, limit: int) -> bytearray:
    data = bytearray()
    while len(data) < limit and (chunk := file.read(min(_CHUNK, limit - len(data)))):
        data += chunk
    return data
