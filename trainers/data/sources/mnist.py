"""Reader for MNIST and data sets in the same format, from four IDX files or from Keras's `.npz` file."""

import re
from dataclasses import dataclass
from pathlib import Path

from ...config.dataset_names import name_key
from ..formats.idx import read_idx
from ..formats.npz import read_npz
from ..pipeline.dataset import SourceDataset
from ..pipeline.split import Split, checked_split
from .download_search import Download, Original

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
_DIGITS = tuple("0123456789")
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
_KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_RIVALS = ("mnist", "fashion_mnist", "kmnist")

# train-images-idx3-ubyte.gz, train-images.idx3-ubyte and the like, in lower case.
_IDX_NAME = re.compile(r"(train|t10k|test)[-_.](images|labels)[-_.]idx[13][-_.]ubyte(\.gz)?")
_DIMENSIONS = {"images": 3, "labels": 1}
_FILES = tuple((part, kind) for part in ("train", "t10k") for kind in _DIMENSIONS)
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class _Images:
    """Name and classes of a data set in the format of MNIST, such as Fashion-MNIST.

    Attributes:
        name: of the data set.
        class_names: one per class, in the order of the labels.
        mirrors: whether a mirrored image still belongs to its class.
    """

    name: str
    class_names: tuple[str, ...]
    mirrors: bool

    def find(self, place: Path) -> list[Download]:
        """Find the IDX files and the `.npz` file of an MNIST-like data set in a folder, ignoring subfolders."""
        if place.is_file():
            return [self._npz(place)] if place.suffix == ".npz" else []
        paths = _idx_files(place)
        missing = tuple(
            f"{part}-{kind}-idx{_DIMENSIONS[kind]}-ubyte[.gz]" for part, kind in _FILES if (part, kind) not in paths
        )
        named = [path for path in sorted(place.glob("*.npz")) if name_key(path.stem) == name_key(self.name)]
        idx = [Download(place, missing, lambda: self._load_idx(place, paths))] if paths else []
        return [*idx, *map(self._npz, named)]

    def _npz(self, path: Path) -> Download:
        return Download(path, (), lambda: self._load_npz(path))

    def _load_idx(self, folder: Path, paths: dict[tuple[str, str], Path]) -> SourceDataset:
        def split(part) -> Split:
            images, labels = (read_idx(paths[part, kind], ndim) for kind, ndim in _DIMENSIONS.items())
            return checked_split(f"{folder} ({part} files)", images, labels, len(self.class_names))

        return SourceDataset(self.class_names, split("train"), split("t10k"), mirrors=self.mirrors)

    def _load_npz(self, path: Path) -> SourceDataset:
        arrays = read_npz(path, _ARRAYS)

        def split(part) -> Split:
            return checked_split(f"{path} ({part})", arrays[f"x_{part}"], arrays[f"y_{part}"], len(self.class_names))

        return SourceDataset(self.class_names, split("train"), split("test"), mirrors=self.mirrors)


def _idx_files(folder: Path) -> dict[tuple[str, str], Path]:
    """Find the IDX files of an MNIST-like data set in a folder, and return their paths in a dictionary.

    The keys are (split, content), such as ("train", "images"). A file may lie in a folder of its own name, as unpacking
    programs make it. Compressed files, which have a checksum, go first.
    """
    paths: dict[tuple[str, str], Path] = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: (entry.suffix != ".gz", entry.name)):
        file = _split_and_content(entry)
        inside = sorted(entry.iterdir()) if file and entry.is_dir() else [entry]
        if file and (files := [path for path in inside if path.is_file() and _split_and_content(path) == file]):
            paths.setdefault(file, files[0])
    return paths


def _split_and_content(path: Path) -> tuple[str, str] | None:
    match = _IDX_NAME.fullmatch(path.name.lower())
    return match and ("train" if match[1] == "train" else "t10k", match[2])


def _original(images: _Images, title: str, page: str, **options) -> Original:
    files = f"train-images-idx3-ubyte[.gz] and the other three IDX files, or {images.name}.npz,"
    return Original(title, files, page, images.find, rivals=_RIVALS, **options)


MNIST = _original(_Images("mnist", _DIGITS, False), "MNIST", "https://storage.googleapis.com/cvdf-datasets/mnist/")
KMNIST = _original(_Images("kmnist", _KUZUSHIJI, False), "Kuzushiji-MNIST", "http://codh.rois.ac.jp/kmnist/")
FASHION_MNIST = _original(
    _Images("fashion_mnist", _FASHION_CLASSES, True),
    "Fashion-MNIST",
    "https://github.com/zalandoresearch/fashion-mnist",
    default_folder=DEBIAN_FASHION_MNIST,
    hint="The package dataset-fashion-mnist of Debian and Ubuntu installs them where no --data_dir is needed. ",
)
