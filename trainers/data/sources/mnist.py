"""Loaders for MNIST and Fashion-MNIST, which read IDX files or use TensorFlow Datasets."""

from pathlib import Path

from ...config.schema import Config
from ...runs.errors import UserError
from ..pipeline.dataset import SourceDataset
from ..pipeline.split import checked_split
from .idx import read_idx
from .tfds import load_tfds

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
_FASHION_CLASSES = (
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


def load_mnist(config: Config, size) -> SourceDataset:
    """Load MNIST from IDX files, or from TensorFlow Datasets if there are no IDX files.

    IDX files are looked for in `data_dir`.

    Args:
        config: the run's configuration; `data_dir` may be None.
        size: not used, since all images have one size; every loader is called with it.
    """
    folder = idx_folder(config)
    if folder is None:
        return load_tfds(config, size)
    return _load_idx_files("mnist", folder, tuple("0123456789"), mirrors=False)


def load_fashion_mnist(config: Config, size) -> SourceDataset:
    """Load Fashion-MNIST from IDX files or from TensorFlow Datasets.

    Without `data_dir`, Debian's package is used where it is installed, and TensorFlow Datasets elsewhere.

    Args:
        config: the run's configuration; `data_dir` may be None.
        size: not used, since all images have one size; every loader is called with it.
    """
    folder = idx_folder(config)
    if folder is None and config.data_dir is not None:
        return load_tfds(config, size)
    if folder is None:
        try:
            return load_tfds(config, size)
        except UserError as error:
            raise UserError(
                f"{_missing_file_message(DEBIAN_FASHION_MNIST)} TensorFlow Datasets has it neither: {error}"
            ) from None
    return _load_idx_files("fashion_mnist", folder, _FASHION_CLASSES, mirrors=True)


def idx_folder(config: Config) -> Path | None:
    """Return the folder where the IDX files of MNIST or Fashion-MNIST are expected, or None if TFDS has the images."""
    folder = None if config.data_dir is None else Path(config.data_dir)
    if config.dataset == "mnist":
        return folder if folder is not None and list(folder.glob("*-idx?-ubyte*")) else None
    if folder is None:
        return DEBIAN_FASHION_MNIST if DEBIAN_FASHION_MNIST.is_dir() else None
    return None if (folder / "fashion_mnist").is_dir() else folder  # such a folder is one that TFDS prepared


def _load_idx_files(name: str, folder: Path, class_names: tuple[str, ...], mirrors: bool) -> SourceDataset:
    def read_split(part):
        images = read_idx(_find_idx_file(folder, f"{part}-images-idx3-ubyte"), ndim=3)
        labels = read_idx(_find_idx_file(folder, f"{part}-labels-idx1-ubyte"), ndim=1)
        return checked_split(f"{name} ({part} files in {folder})", images, labels, len(class_names))

    return SourceDataset(class_names, read_split("train"), read_split("t10k"), mirrors=mirrors)


def _find_idx_file(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise UserError(_missing_file_message(folder, name))


def _missing_file_message(folder: Path, name: str = "train-images-idx3-ubyte") -> str:
    return (
        f"The file {name}[.gz] is not in {folder}. Give the folder that holds the data set's four files by "
        "--data_dir=FOLDER. Fashion-MNIST needs no --data_dir once `apt-get install dataset-fashion-mnist` (Debian, "
        "Ubuntu) has installed its files."
    )
