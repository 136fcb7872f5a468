"""Images and labels of Fashion-MNIST, read from the data set's own files."""

import gzip
from pathlib import Path

import numpy as np

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
CLASSES = 10
QUICK_IMAGES = 64


def add_data_dir(parser):
    """Add the flag --data_dir to a benchmark's argument parser."""
    parser.add_argument("--data_dir", type=Path, default=DEBIAN, help="folder of the four IDX files, gzipped or not")


def check_data_dir(flags):
    """Exit with a message if a benchmark's --data_dir is no folder, or replace it by None with --quick.

    None stands for random images, so that the quick form of a benchmark runs where the data set is not.
    """
    if flags.data_dir.is_dir():
        return
    if not flags.quick:
        raise SystemExit(
            f"{flags.data_dir} is no folder. Set --data_dir to the folder of Fashion-MNIST's four IDX files."
        )
    flags.data_dir = None


def read_idx(folder, part, limit=None):
    """Read the unscaled images and labels of Fashion-MNIST's training or test set.

    Args:
        folder: with the four IDX files; None for random images.
        part: "train" or "t10k", as in the names of the files.
        limit: number of images to read, or None for all.

    Returns:
        Images (n, 28, 28) and labels (n,), both uint8.
    """
    if folder is None:
        rng, count = np.random.default_rng(0), limit or QUICK_IMAGES
        return rng.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8) % CLASSES
    images = _idx(folder, f"{part}-images-idx3-ubyte", 16).reshape(-1, 28, 28)[:limit]
    return images, _idx(folder, f"{part}-labels-idx1-ubyte", 8)[:limit]


def images_and_labels(folder, part, limit):
    """Load Fashion-MNIST's training or test set, with pixels scaled to [0, 1] and images padded to 32x32.

    Images are (n, 32, 32, 1) float32, padded with 0, and labels (n,) int32.
    """
    images, labels = read_idx(folder, part, limit)
    return np.pad(images[..., None], ((0, 0), (2, 2), (2, 2), (0, 0))).astype("float32") / 255, labels.astype("int32")


def _idx(folder, name, header):
    """Read an IDX data file, gzipped or not, and return the bytes after the header."""
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            return np.frombuffer(data, np.uint8, offset=header)
    raise SystemExit(f"{name}[.gz] is not in {folder}. Set --data_dir to the folder of Fashion-MNIST's four IDX files.")
