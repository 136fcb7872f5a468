"""Loader for the user's own images in an `.npz` file, as written by `numpy.savez`."""

from pathlib import Path

import numpy as np

from ...config.schema import Config
from ...runs.errors import UserError
from ..formats.npz import read_npz
from ..pipeline.dataset import SourceDataset
from ..pipeline.encoded import abbreviate
from ..pipeline.split import Split, checked_split

_REQUIRED = ("x_train", "y_train", "x_test", "y_test")
_VALIDATION = ("x_val", "y_val")
_CLASS_NAMES = "class_names"
_CHANNELS = (1, 3)


def load_npz(config: Config, size=None) -> SourceDataset:
    """Load the user's own images and labels from an `.npz` file.

    The file holds images x_train and x_test (n, height, width) or (n, height, width, channels), channels 1 or 3, with
    pixels from 0 to 255, and labels y_train and y_test (n,) or (n, 1), whole numbers from 0 to classes - 1. It may also
    hold validation images x_val with labels y_val, and texts class_names (classes,).

    Args:
        config: the run's configuration; `data_dir` is the file, or a folder with one `.npz` file.
        size: not used, since all images have one size; every loader is called with it.

    Raises:
        UserError: there is no such file, an array is missing, or its shape, its type or a value is wrong; the message
            says which and how to write the array.
    """
    path = _file(config.data_dir)
    arrays = read_npz(path, _REQUIRED, (*_VALIDATION, _CLASS_NAMES))
    if len(alone := [name for name in _VALIDATION if name in arrays]) == 1:
        raise UserError(f"{path} has {alone[0]} alone. Expected both of {' and '.join(_VALIDATION)}, or none.")
    parts = [part for part in ("train", "test", "val") if f"x_{part}" in arrays]
    labels = {part: _labels(path, f"y_{part}", arrays[f"y_{part}"]) for part in parts}
    class_names = _class_names(path, arrays.get(_CLASS_NAMES), labels["train"])
    splits: dict[str, Split] = {}
    for part in parts:
        images = _images(path, f"x_{part}", arrays[f"x_{part}"])
        splits[part] = checked_split(f"{path}, x_{part} and y_{part}", images, labels[part], len(class_names))
        if splits[part].shape != splits["train"].shape:
            raise UserError(
                f"{path}: x_{part} has images of shape {splits[part].shape}, x_train of {splits['train'].shape}. "
                "Expected one shape."
            )
    return SourceDataset(class_names, splits["train"], splits["test"], splits.get("val"), source=str(path))


def _file(data_dir: str | None) -> Path:
    """Return the `.npz` file named by `--data_dir`, or the only `.npz` file in the folder named by `--data_dir`."""
    if data_dir is None:
        raise UserError(
            "--dataset=npz needs --data_dir=FILE.npz, a file that numpy.savez(path, x_train=..., y_train=..., "
            "x_test=..., y_test=...) wrote."
        )
    path = Path(data_dir).expanduser()
    files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
    if len(files) == 1:
        return files[0]
    raise UserError(
        f"--dataset=npz: {path} has {len(files)} .npz "
        f"files{f' ({abbreviate([file.name for file in files])})' if files else ''}. Name one file by "
        "--data_dir=FILE.npz."
    )


def _images(path: Path, name: str, images: np.ndarray) -> np.ndarray:
    """Check that an image array has a valid dtype, shape and pixel range, and return the array."""
    if images.dtype.kind not in "iuf":
        raise UserError(
            f"{path}: {name} has elements of type {images.dtype}. Expected pixels from 0 to 255, best as uint8."
        )
    channels_last = images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in _CHANNELS)
    if not channels_last or 0 in images.shape:
        transposed = images.ndim == 4 and images.shape[1] in _CHANNELS
        hint = f" The channels seem to come first: numpy.moveaxis({name}, 1, -1) moves them." if transposed else ""
        raise UserError(
            f"{path}: {name} has the shape {images.shape}. Expected (images, height, width) or (images, height, "
            f"width, channels) with 1 or 3 channels.{hint}"
        )
    if images.dtype.kind == "f" and images.max() <= 1:
        raise UserError(
            f"{path}: {name} has pixels from {images.min():g} to {images.max():g}. Expected 0 to 255, which the "
            f"network rescales itself: save numpy.uint8(numpy.round(255 * {name})), if the pixels are from 0 to 1."
        )
    return images


def _labels(path: Path, name: str, labels: np.ndarray) -> np.ndarray:
    """Check that class labels are non-negative integers, and return the labels as a 1-D array."""
    if labels.dtype.kind not in "biuf":
        raise UserError(
            f"{path}: {name} has labels of type {labels.dtype}. Expected whole numbers from 0 to classes - 1: "
            f"class_names, {name} = numpy.unique({name}, return_inverse=True) makes them from texts."
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or not len(labels):
        hint = f" If it is one-hot, save numpy.argmax({name}, axis=1)." if labels.ndim == 2 else ""
        raise UserError(
            f"{path}: {name} has the shape {labels.shape}. Expected (images,), a whole number for each image.{hint}"
        )
    if (wrong := ~(labels >= 0) | (labels != np.floor(labels))).any():  # NaN is neither
        i = int(np.argmax(wrong))
        raise UserError(
            f"{path}: {name} has the label {labels[i]} at image {i} ({int(wrong.sum())} such labels). Expected whole "
            "numbers from 0 to classes - 1."
        )
    return labels


def _class_names(path: Path, names: np.ndarray | None, labels: np.ndarray) -> tuple[str, ...]:
    """Return the class names stored in an `.npz` file, or class numbers as text if the file stores no names."""
    if names is not None:
        if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) != len(names):
            raise UserError(
                f"{path}: {_CLASS_NAMES} has type {names.dtype} and shape {names.shape}. Expected different texts, "
                "one per class."
            )
        return tuple(names.tolist())
    present = np.unique(labels)
    numbers = np.arange(min(int(present[-1]), 2 * len(present)))  # enough to find some that are absent
    if absent := np.setdiff1d(numbers, present).tolist():
        hint = " Save y_train - 1 and y_test - 1, if the first class is 1." if absent == [0] else ""
        raise UserError(
            f"{path}: no image of y_train has the label {abbreviate(absent)}. Expected labels from 0 to classes - 1, "
            f"each in use.{hint}"
        )
    if len(present) < 2:
        raise UserError(f"{path}: y_train has one class only. Expected labels of at least 2 classes.")
    return tuple(map(str, range(len(present))))
