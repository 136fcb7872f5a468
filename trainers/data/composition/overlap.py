"""Overlapping pairs of images of different classes, as in the data set MultiMNIST.

Sabour et al. 2017, "Dynamic Routing Between Capsules", section 6.
"""

import numpy as np
import tensorflow as tf

from .canvas import place


class Overlap:
    """Transform that draws two images of different classes over each other at random positions, as in MultiMNIST.

    A pixel of the composed image is the larger one of the two images.

    Args:
        labels: (n,) integers, the labels of all images that can be composed; at least two classes.
        canvas: (height, width) of the composed image.
    """

    objects = 2
    num_uniforms = 5  # for each example: the second image, and the positions of both

    def __init__(self, labels, canvas: tuple[int, int]):
        self.canvas = canvas
        labels = np.asarray(labels)
        counts = np.bincount(labels)
        # Sorted by class, the images of other classes are those before and after the images of a class.
        self._sorted = np.argsort(labels, kind="stable").astype(np.int32)
        self._first = (np.cumsum(counts) - counts)[labels].astype(np.int32)
        self._count = counts[labels].astype(np.int32)

    def choose(self, rows, uniforms):
        """Choose a partner image from a different class at random for each image.

        Args:
            rows: (batch,) integers, indices of the first images.
            uniforms: (batch, num_uniforms), uniform in [0, 1).

        Returns:
            (batch, 2), the indices of both images.
        """
        count, first = tf.gather(self._count, rows), tf.gather(self._first, rows)
        others = len(self._sorted) - count
        position = tf.cast(uniforms[:, 0] * tf.cast(others, tf.float32), tf.int32)
        position = tf.minimum(position, others - 1)  # the product may have been rounded up
        position += tf.where(position >= first, count, 0)
        return tf.stack([rows, tf.cast(tf.gather(self._sorted, position), rows.dtype)], axis=1)

    def draw(self, images: list, uniforms):
        """Draw pairs of images from two batches over each other, on one canvas per pair.

        Args:
            images: the first and the second images, each (batch, height, width, channels) float32.
            uniforms: (batch, num_uniforms), uniform in [0, 1).

        Returns:
            (batch, *canvas, channels) float32.
        """
        first, second = images
        return tf.maximum(place(first, uniforms[:, 1:3], self.canvas), place(second, uniforms[:, 3:5], self.canvas))
