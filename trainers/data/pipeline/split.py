"""Images with labels, checked before they are trained on."""

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from ...runs.errors import UserError
from ..augmentation.views import Views

# The split is the data set's, not the run's: runs of every seed validate and test on the same images.
_SPLIT_SEED = 0


@dataclass(frozen=True)
class Split:
    """Images (n, height, width, channels), uint8 pixels from 0 to 255, and labels (n,) from 0 to classes - 1."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of a stored image."""
        return self.images.shape[1:]

    def take(self, indices) -> "Split":
        return Split(self.images[indices], self.labels[indices])

    def pixels(self, indices) -> np.ndarray:
        """Images (len(indices), height, width, channels) uint8."""
        return self.images[indices]

    def refuse_corrupt(self):
        """Pixels in memory were decoded already."""

    def fetch(self):
        """Function of indices (batch,) to images (batch, height, width, channels) uint8; runs inside tf.data."""
        images = tf.constant(self.images)
        return lambda indices: tf.gather(images, indices)


@dataclass(frozen=True)
class Dataset:
    """A data set's three splits, each a `Split` or an `EncodedSplit`, and what the network sees of their images.

    Models are chosen on `validation`; `test` is looked at once, at the end. `skipped` says why
    and which files were left out.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    views: Views
    skipped: dict = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) that the network sees."""
        return (*self.views.size, self.train.shape[2])


def checked_split(name: str, images, labels, classes: int) -> Split:
    """Checks images and labels and brings them to the form of `Split`.

    Args:
        name: what to call the data in an error message.
        images: (n, height, width) or (n, height, width, channels); pixels from 0 to 255.
        labels: (n,) integers.
        classes: number of classes.

    Raises:
        UserError: there are no images, counts differ, a pixel is not finite or out of range, a label is out of range.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or not len(images):
        raise UserError(f"{name}: expected images of shape (n, height, width[, channels]). Found shape {images.shape}.")
    if labels.shape != (len(images),):
        raise UserError(f"{name}: {len(images)} images need as many labels. Found labels of shape {labels.shape}.")
    if images.dtype != np.uint8:
        _check_pixels(name, images)
        images = np.round(images).astype(np.uint8)
    wrong = (labels < 0) | (labels >= classes) | (labels != np.floor(labels))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise UserError(
            f"{name}: labels must be integers from 0 to {classes - 1}. "
            f"Found {labels[i]} at image {i} ({int(wrong.sum())} such labels)."
        )
    return Split(images, labels.astype(np.int32))


def _check_pixels(name, images):
    axes = tuple(range(1, images.ndim))
    for what, wrong in (
        ("a pixel that is not a finite number (NaN or infinity)", ~np.isfinite(images).all(axis=axes)),
        ("a pixel outside 0 to 255", (images < 0).any(axis=axes) | (images > 255).any(axis=axes)),
    ):
        if wrong.any():
            raise UserError(f"{name}: image {int(np.argmax(wrong))} has {what} ({int(wrong.sum())} such images).")


def stratified(split: Split, share: float | int) -> tuple[Split, Split]:
    """Sets aside a fixed random share of a split, with every class in proportion.

    Args:
        split: what to divide.
        share: fraction (float) or number (int) of images to set aside.

    Returns:
        The rest and the share set aside.
    """
    from sklearn.model_selection import train_test_split

    try:
        rest, aside = train_test_split(
            np.arange(len(split)), test_size=share, stratify=split.labels, random_state=_SPLIT_SEED
        )
    except ValueError as error:
        raise UserError(
            f"Cannot set aside {share} of {len(split)} images, every class in proportion: {error}"
        ) from None
    return split.take(np.sort(rest)), split.take(np.sort(aside))
