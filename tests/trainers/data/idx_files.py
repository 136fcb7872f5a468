"""Writers of small IDX files in the layout of MNIST's."""

import gzip
import struct

import numpy as np


def idx_bytes(array) -> bytes:
    """Returns the contents of an IDX file that holds a uint8 array."""
    array = np.asarray(array, np.uint8)
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_fashion_mnist(folder, train=80, test=20, size=28, compressed=True):
    """Writes four files of random images whose class shows: class c has a bright row c."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for part, n in (("train", train), ("t10k", test)):
        labels = np.arange(n) % 10
        images = rng.integers(0, 60, (n, size, size))
        images[np.arange(n), 2 * labels] = 250
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            data = idx_bytes(array)
            path = folder / f"{part}-{name}-ubyte{'.gz' if compressed else ''}"
            path.write_bytes(gzip.compress(data) if compressed else data)
