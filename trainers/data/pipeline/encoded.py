"""Images that stay encoded (JPEG, PNG, ...) until a batch wants them, or until all are decoded into memory."""

import functools
import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ...runs.errors import UserError
from .split import Split


@dataclass(frozen=True)
class EncodedSplit:
    """Encoded images with labels; serves like a `Split`, reading and decoding on demand.

    Attributes:
        read: scalar tensor, an index -> the encoded image's bytes, a scalar string. Runs inside tf.data.
        rows: (n,) the indices that are this split's.
        labels: (n,) int32, from 0 to classes - 1.
        size: (height, width) that images are brought to: the shorter side is resized, the middle cut out.
        channels: 1 or 3.
        name_of: index -> what to call an image in a message.
    """

    read: Callable
    rows: np.ndarray
    labels: np.ndarray
    size: tuple[int, int]
    channels: int
    name_of: Callable

    def __len__(self):
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (*self.size, self.channels)

    def take(self, indices) -> "EncodedSplit":
        return EncodedSplit(self.read, self.rows[indices], self.labels[indices], self.size, self.channels, self.name_of)

    def fetch(self):
        """Function of indices (batch,) to images (batch, height, width, channels) uint8; runs inside tf.data."""
        rows = tf.constant(self.rows, tf.int64)

        def image(index):
            return square(decode(self.read(rows[index]), self.channels, self.size), self.size)

        signature = tf.TensorSpec(self.shape, tf.uint8)
        return lambda indices: tf.map_fn(image, indices, fn_output_signature=signature, parallel_iterations=16)

    def names(self, indices) -> list:
        """What to call images in a message."""
        return [self.name_of(int(row)) for row in self.rows[indices]]

    def pixels(self, indices) -> np.ndarray:
        """Decoded images, (len(indices), height, width, channels) uint8.

        Raises:
            UserError: one of them is corrupt; the message names it.
        """
        return self.take(np.asarray(indices)).decoded().images

    def decoded(self) -> Split:
        """Decodes all images into memory.

        Raises:
            UserError: some are corrupt; the message names them.
        """
        fetch = self.fetch()
        batches = tf.data.Dataset.range(len(self)).batch(64).map(fetch, num_parallel_calls=tf.data.AUTOTUNE)
        images = np.empty((len(self), *self.shape), np.uint8)
        with naming_corrupt(self):
            for i, batch in enumerate(batches.prefetch(2).as_numpy_iterator()):
                images[64 * i : 64 * i + 64] = batch
        return Split(images, self.labels)

    def readable(self) -> np.ndarray:
        """Indices of the images that can be read and decoded; decodes every one."""
        fetch = self.fetch()
        each = tf.data.Dataset.range(len(self)).map(
            lambda index: (index, fetch(index[None])), num_parallel_calls=tf.data.AUTOTUNE
        )
        return np.array([index for index, _ in each.ignore_errors().as_numpy_iterator()], np.int64)

    def refuse_corrupt(self):
        """Reports the corrupt images, after something failed to read; decodes every one.

        Raises:
            UserError: naming them, if there are any.
        """
        if bad := self.names(np.setdiff1d(np.arange(len(self)), self.readable())):
            raise UserError(
                f"{len(bad)} of {len(self):,} images cannot be decoded: {some(bad)}. Mend or remove them, or leave "
                "them out by --corrupt_images=skip."
            )


@contextmanager
def naming_corrupt(*splits):
    """Turns TensorFlow's error about an image of these splits, met by a pipeline, into a `UserError` with its name."""
    try:
        yield
    except tf.errors.OpError:
        for split in splits:
            split.refuse_corrupt()
        raise


def decode(data, channels: int, least=None):
    """Decodes an image file: JPEG, PNG, BMP or the first frame of a GIF.

    Args:
        data: scalar string tensor.
        channels: 1 or 3.
        least: (height, width) that is enough: a JPEG file much larger is decoded at 1/2, 1/4 or 1/8 of its size, which
            its format makes cheap. None decodes at full size.

    Returns:
        (height, width, channels) uint8.
    """

    def full():
        return tf.io.decode_image(data, channels=channels, expand_animations=False)

    def reduced():
        shape = tf.cast(tf.image.extract_jpeg_shape(data)[:2], tf.float32)
        room = tf.reduce_min(shape / tf.constant(least, tf.float32))
        # Rounded down, so that what is decoded is never smaller than `least`.
        power = tf.cast(tf.math.log(tf.clip_by_value(room, 1.0, 8.0)) / math.log(2) + 1e-4, tf.int32)
        return tf.switch_case(power, [lambda r=r: tf.io.decode_jpeg(data, channels, ratio=r) for r in (1, 2, 4, 8)])

    return full() if least is None else tf.cond(tf.io.is_jpeg(data), reduced, full)


def square(image, size):
    """Cuts out the largest middle part of the aspect of `size` and resizes it.

    Args:
        image: (height, width, channels) uint8.
        size: (height, width).

    Returns:
        (*size, channels) uint8; bilinear, antialiased where it shrinks to less than half (it costs four times as much,
        and below that a pixel between four others sees them all).
    """
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.reduce_min(shape / tf.constant(size, tf.float32))
    part = tf.maximum(tf.cast(tf.round(scale * tf.constant(size, tf.float32)), tf.int32), 1)
    part = tf.minimum(part, tf.shape(image)[:2])
    corner = (tf.shape(image)[:2] - part) // 2
    image = tf.slice(image, tf.concat([corner, [0]], 0), tf.concat([part, [-1]], 0))

    def resized(antialias):
        pixels = tf.image.resize(image, size, antialias=antialias)
        return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)

    fits, halved = tf.reduce_all(tf.equal(part, size)), tf.reduce_any(part > 2 * tf.constant(size))
    resize = functools.partial(tf.cond, halved, lambda: resized(True), lambda: resized(False))
    return tf.cond(fits, lambda: tf.reshape(image, (*size, tf.shape(image)[2])), resize)


def some(names, most: int = 5) -> str:
    """A list of names for a message, the first few in full."""
    return ", ".join(map(str, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")
