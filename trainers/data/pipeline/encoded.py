"""Container for labelled images in encoded form, such as JPEG, with decoding on demand."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf

from ...runs.counting import counted
from ...runs.errors import UserError, root_cause
from .decoding import batch_decoder, decode_to_size, map_to_images
from .split import Split

_DECODE_BATCH = 64
_EXPLAINED = 3  # corrupt images of which a message gives the reason


@dataclass(frozen=True)
class EncodedSplit:
    """Labelled images in encoded form, such as JPEG, with methods to read and decode images on demand.

    Has the properties and methods of `Split`, its counterpart for decoded images.

    Attributes:
        read: function of a scalar index tensor that returns the encoded image, a scalar string; runs eagerly and
            inside tf.data.
        rows: (n,) the indices of this split's images, for `read`.
        labels: (n,) int32, from 0 to classes - 1.
        size: (height, width) of a decoded image; see `crop_and_resize`.
        channels: 1 or 3.
        name_of: function of an index that returns the image's name for error messages.
    """

    read: Callable
    rows: np.ndarray
    labels: np.ndarray
    size: tuple[int, int]
    channels: int
    name_of: Callable[[int], str]

    def __len__(self):
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and number of channels of one decoded image."""
        return (*self.size, self.channels)

    def take(self, indices) -> "EncodedSplit":
        """Return the subset of encoded images at the given indices, without decoding the images."""
        return EncodedSplit(self.read, self.rows[indices], self.labels[indices], self.size, self.channels, self.name_of)

    def reader(self) -> Callable:
        """Return a function that reads and decodes the images at given indices, for use inside `tf.data` pipelines.

        The function maps indices (batch,) to uint8 images (batch, height, width, channels).
        """
        rows = tf.constant(self.rows, tf.int64)
        return lambda indices: map_to_images(
            lambda index: decode_to_size(self.read(rows[index]), self.channels, self.size), indices, self.shape
        )

    def image_names(self, indices) -> list[str]:
        """Return the names of the images at the given indices, for error messages."""
        return [self.name_of(int(row)) for row in self.rows[indices]]

    def pixels(self, indices) -> np.ndarray:
        """Decode the images at the given indices, and return them as one uint8 array.

        The array has the shape (images, height, width, channels).

        Raises:
            UserError: one of them is corrupt; the message names it.
        """
        return self.take(np.asarray(indices)).decode().images

    def decode(self) -> Split:
        """Decode all images into memory, and return the decoded images and the labels.

        Raises:
            UserError: some are corrupt; the message names them.
        """
        decode_files = batch_decoder(self.channels, self.size)
        images = np.empty((len(self), *self.shape), np.uint8)
        with corrupt_image_as_user_error(self):
            for indices, files in self._files().batch(_DECODE_BATCH).prefetch(2):
                images[indices] = decode_files(files)
        return Split(images, self.labels)

    def readable_indices(self) -> np.ndarray:
        """Try to decode every image, and return the indices of the images that are not corrupt."""
        decode_files = batch_decoder(self.channels, self.size)
        readable = [np.zeros(0, np.int64)]
        for batch, files in self._files().ignore_errors().batch(_DECODE_BATCH).prefetch(2):
            indices = batch.numpy()
            if _failure(decode_files, files):  # of one image or more, so each is tried
                indices = indices[[not _failure(decode_files, file[None]) for file in files]]
            readable.append(indices)
        return np.concatenate(readable)

    def _files(self) -> tf.data.Dataset:
        """Return a `tf.data.Dataset` whose elements are pairs of index and encoded image, ordered by index."""
        rows = tf.constant(self.rows, tf.int64)
        indices = tf.data.Dataset.range(len(self))
        return indices.map(lambda index: (index, self.read(rows[index])), num_parallel_calls=tf.data.AUTOTUNE)

    def raise_if_corrupt(self):
        """Try to decode every image, and raise an error that names the corrupt images if there are any.

        Raises:
            UserError: some images cannot be read or decoded.
        """
        corrupt = np.setdiff1d(np.arange(len(self)), self.readable_indices())
        if len(corrupt):
            names = self.image_names(corrupt)
            for i, index in enumerate(corrupt[:_EXPLAINED]):
                names[i] += f" ({self._reason(index)})"
            raise UserError(
                f"{len(names):,} of {counted(len(self), 'image')} cannot be decoded: {abbreviate(names)}. Repair or "
                "remove them, or leave them out by --corrupt_images=skip."
            )

    def _reason(self, index) -> str:
        """Decode an image that is known to be corrupt, and return the error message.

        The message is that of TensorFlow or of the check of the file's header.
        """

        def decode():
            batch_decoder(self.channels, self.size)(self.read(tf.constant(self.rows[index], tf.int64))[None])

        return _failure(decode) or "it could be decoded in a second attempt"


class Checkable(Protocol):
    """Protocol for image collections that can be checked for corrupt images."""

    def raise_if_corrupt(self) -> None:
        """Raise `UserError` if an image is corrupt."""


def _failure(function, *args) -> str | None:
    """Call a function, and return the message of the TensorFlow error that it raises, or None if it raises none."""
    try:
        function(*args)
    except tf.errors.OpError as error:
        return root_cause(error.message).rstrip(".")
    return None


@contextmanager
def corrupt_image_as_user_error(*splits: Checkable):
    """Convert TensorFlow errors inside a `with` block into a `UserError` that names the corrupt image.

    A TensorFlow error with another cause is raised again as it is.
    """
    try:
        yield
    except tf.errors.OpError:
        for split in splits:
            split.raise_if_corrupt()
        raise


def abbreviate(names, limit: int = 5) -> str:
    """Join names with commas for a message, and shorten a long list to "a, b and 3 more"."""
    others = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(str, names[:limit])) + others
