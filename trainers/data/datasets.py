"""The data sets by name."""

from pathlib import Path

import numpy as np

from ..errors import UserError
from .idx import read_idx
from .split import Dataset, Split, checked_split, stratified

DIGITS_TEST_IMAGES = 360
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def digits(config) -> tuple[tuple[str, ...], Split, Split]:
    """The 1,797 handwritten 8x8 digits that scikit-learn ships: no download. 360 of them are the fixed test split."""
    from sklearn.datasets import load_digits

    data = load_digits()
    everything = checked_split("digits", np.round(data.images * (255 / 16)), data.target, classes=10)
    train, test = stratified(everything, DIGITS_TEST_IMAGES)
    return tuple("0123456789"), train, test


def fashion_mnist(config) -> tuple[tuple[str, ...], Split, Split]:
    """Fashion-MNIST's IDX files: 60,000 images of 28x28 to train on, 10,000 to test on."""
    folder = Path(config.data_dir) if config.data_dir else DEBIAN_FASHION_MNIST

    def read(part):
        images = read_idx(_idx_file(folder, f"{part}-images-idx3-ubyte"), ndim=3)
        labels = read_idx(_idx_file(folder, f"{part}-labels-idx1-ubyte"), ndim=1)
        return checked_split(f"fashion_mnist ({part} files in {folder})", images, labels, len(FASHION_CLASSES))

    return FASHION_CLASSES, read("train"), read("t10k")


def _idx_file(folder, name):
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise UserError(
        f"Fashion-MNIST's file {name}[.gz] is not in {folder}. On Debian or Ubuntu `apt-get install "
        "dataset-fashion-mnist` puts the four files where they are found by themselves; elsewhere say "
        "--data_dir=FOLDER for the folder that holds them."
    )


DATASETS = {"digits": digits, "fashion_mnist": fashion_mnist}


def load(config) -> Dataset:
    """Loads the data set of a configuration and sets its validation split aside, from the training images.

    Args:
        config: the run's `Config`.

    Raises:
        UserError: the data is missing or damaged; the message says where it was looked for and what to do.
    """
    class_names, train, test = DATASETS[config.dataset](config)
    train, validation = stratified(train, config.validation_fraction)
    return Dataset(config.dataset, class_names, train, validation, test)
