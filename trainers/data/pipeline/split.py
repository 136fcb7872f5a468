"""Container for labelled images that are held in memory as decoded pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ...runs.counting import counted
from ...runs.errors import UserError


@dataclass(frozen=True)
class Split:
    """Labelled images in memory, as an array of uint8 pixels and an array of integer labels.

    Pixels (images, height, width, channels) are from 0 to 255, labels (images,) from 0 to classes - 1.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and number of channels of one image."""
        return self.images.shape[1:]

    def take(self, indices) -> "Split":
        """Return the subset of images and labels at the given indices."""
        return Split(self.images[indices], self.labels[indices])

    def pixels(self, indices) -> np.ndarray:
        """Return the images at the given indices as one uint8 array.

        The array has the shape (images, height, width, channels).
        """
        return self.images[indices]

    def raise_if_corrupt(self):
        """Do nothing, because images in memory are already decoded and cannot be corrupt."""

    def reader(self) -> Callable:
        """Return a function that looks up the images at given indices, for use inside `tf.data` pipelines.

        The function maps indices (batch,) to uint8 images (batch, height, width, channels).
        """
        images = tf.constant(self.images)
        return lambda indices: tf.gather(images, indices)


def checked_split(name: str, images, labels, classes: int) -> Split:
    """Validate images and labels, and return a container that holds both.

    Args:
        name: of the data, for error messages.
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
            f"Found {labels[i]} at image {i} ({counted(int(wrong.sum()), 'such label')})."
        )
    return Split(images, labels.astype(np.int32))


def _check_pixels(name, images):
    axes = tuple(range(1, images.ndim))
    for problem, wrong in (
        ("a pixel that is not a finite number (NaN or infinity)", ~np.isfinite(images).all(axis=axes)),
        ("a pixel outside 0 to 255", (images < 0).any(axis=axes) | (images > 255).any(axis=axes)),
    ):
        if wrong.any():
            raise UserError(f"{name}: image {int(np.argmax(wrong))} has {problem} ({int(wrong.sum())} such images).")
