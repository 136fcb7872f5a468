"""Reader for the original MATLAB files of the cropped-digit version of SVHN."""

from pathlib import Path

import numpy as np

from ...runs.errors import UserError
from ..formats.matlab import read_matlab
from ..pipeline.dataset import SourceDataset
from ..pipeline.split import Split, checked_split
from .download_search import Download, Original

_TRAIN, _TEST = "train_32x32.mat", "test_32x32.mat"
_SHAPE = (32, 32, 3)  # of an image in the files: height, width, channels
_LABEL_OF_ZERO = 10


def _find(place: Path) -> list[Download]:
    folder = place.parent if place.name in (_TRAIN, _TEST) else place
    missing = tuple(name for name in (_TRAIN, _TEST) if not (folder / name).is_file())
    return [] if len(missing) == 2 else [Download(folder, missing, lambda: _load(folder))]


def _load(folder: Path) -> SourceDataset:
    return SourceDataset(tuple("0123456789"), _read(folder / _TRAIN), _read(folder / _TEST), mirrors=False)


def _read(path: Path) -> Split:
    arrays = read_matlab(path, ("X", "y"))
    images, labels = arrays["X"], arrays["y"].ravel()
    if images.ndim != 4 or images.shape[:3] != _SHAPE or images.dtype != np.uint8:
        raise UserError(
            f"{path}: expected X to be bytes of shape (32, 32, 3, images). Found {images.dtype} of shape "
            f"{images.shape}. Download the file again."
        )
    labels = np.where(labels == _LABEL_OF_ZERO, 0, labels)
    return checked_split(str(path), np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels, classes=10)


SVHN = Original("SVHN's cropped digits", f"{_TRAIN} and {_TEST}", "http://ufldl.stanford.edu/housenumbers/", _find)
