"""Reader for the original Python version of CIFAR-10 and CIFAR-100, which consists of pickle files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...runs.errors import UserError
from ..formats.archive import read_archive
from ..formats.array_pickle import read_array_pickle
from ..pipeline.dataset import SourceDataset
from ..pipeline.split import Split, checked_split
from .download_search import Download, Original

_SHAPE = (3, 32, 32)  # of an image in the files: channels, height, width
_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_CLASSES_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""


@dataclass(frozen=True)
class _Layout:
    """File names, label key and class names of the Python version of CIFAR-10 or CIFAR-100.

    Attributes:
        archives: names of the archive: its authors', the same without compression, and Keras's.
        train, test: names of the files with the images.
        label_key: name of the labels in a file.
        class_names: one per class, in the order of the labels.
    """

    archives: tuple[str, ...]
    train: tuple[str, ...]
    test: tuple[str, ...]
    label_key: str
    class_names: tuple[str, ...]

    def find(self, place: Path) -> list[Download]:
        """Find the CIFAR archive and the extracted CIFAR files in a folder, ignoring subfolders."""
        archives = [place] if place.is_file() else [path for name in self.archives if (path := place / name).is_file()]
        downloads = [self._archive(path) for path in archives]
        missing = tuple(name for name in self._files if not (place / name).is_file())
        if len(missing) < len(self._files):
            downloads.append(Download(place, missing, lambda: self._load_folder(place)))
        return downloads

    @property
    def _files(self) -> tuple[str, ...]:
        return (*self.train, *self.test)

    def _archive(self, path: Path) -> Download:
        return Download(path, (), lambda: self._load(path, read_archive(path, self._files)))

    def _load_folder(self, path: Path) -> SourceDataset:
        try:
            return self._load(path, {name: (path / name).read_bytes() for name in self._files})
        except OSError as error:
            raise UserError(f"Cannot read the files in {path}: {error.strerror}.") from None

    def _load(self, path: Path, contents: Mapping[str, bytes]) -> SourceDataset:
        def split(names) -> Split:
            parts = [self._images_and_labels(f"{path}: {name}", contents[name]) for name in names]
            images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            return checked_split(f"{path} ({', '.join(names)})", images, labels, len(self.class_names))

        return SourceDataset(self.class_names, split(self.train), split(self.test))

    def _images_and_labels(self, name: str, data: bytes) -> tuple[np.ndarray, np.ndarray]:
        """Extract images and labels from the pickled bytes of a CIFAR file.

        The shapes are (n, height, width, channels) and (n,).
        """
        content = read_array_pickle(name, data)
        if missing := [key for key in ("data", self.label_key) if key not in content]:
            raise UserError(
                f"{name} has no {' and no '.join(missing)}. Found {', '.join(content)}. Is it a file of the other "
                "CIFAR data set?"
            )
        pixels, labels = content["data"], np.asarray(content[self.label_key])
        if (
            getattr(pixels, "dtype", None) != np.uint8
            or pixels.shape[1:] != (np.prod(_SHAPE),)
            or labels.dtype.kind not in "iu"
        ):
            raise UserError(
                f"{name}: expected rows of {np.prod(_SHAPE)} bytes and as many whole numbers. Download it again."
            )
        return pixels.reshape(-1, *_SHAPE).transpose(0, 2, 3, 1), labels


_LAYOUT_10 = _Layout(
    archives=("cifar-10-python.tar.gz", "cifar-10-python.tar", "cifar-10-batches-py.tar.gz"),
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test=("test_batch",),
    label_key="labels",
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)
_LAYOUT_100 = _Layout(
    archives=("cifar-100-python.tar.gz", "cifar-100-python.tar"),
    train=("train",),
    test=("test",),
    label_key="fine_labels",
    class_names=tuple(_CLASSES_100.split()),
)
CIFAR10 = Original("CIFAR-10", "cifar-10-python.tar.gz", _PAGE, _LAYOUT_10.find)
CIFAR100 = Original("CIFAR-100", "cifar-100-python.tar.gz", _PAGE, _LAYOUT_100.find)
