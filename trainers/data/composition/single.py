"""Placement of an image on a larger canvas, with an optional random affine transformation.

It is the protocol of affNIST: https://www.cs.toronto.edu/~tijmen/affNIST, and Sabour et al. 2017, section 5.2.
"""

import math

import tensorflow as tf

from ..augmentation.warp import warp
from .canvas import place

_DEGREES = 20.0  # largest rotation to either side
_SHEAR = 0.2  # largest shear to either side
_SCALE = 0.2  # largest relative change of height and of width


class _Single:
    """Base class of transforms that draw one image on a larger canvas.

    Args:
        canvas: (height, width) of the composed image.
    """

    objects = 1

    def __init__(self, canvas: tuple[int, int]):
        self.canvas = canvas

    def choose(self, rows, uniforms):
        """Convert a vector of image indices to a matrix with one column.

        The columns are the objects in an image, here one.
        """
        return rows[:, None]


class Placement(_Single):
    """Transform that places one image at a random position on a larger black canvas."""

    num_uniforms = 2

    def draw(self, images: list, uniforms):
        """Place each image at a random position on a black canvas."""
        return place(images[0], uniforms, self.canvas)


class AffineTransform(_Single):
    """Transform that rotates, shears, scales and shifts one image at random on a larger black canvas."""

    num_uniforms = 6

    def draw(self, images: list, uniforms):
        """Transform each image by a random affine map, and draw the result on a canvas."""
        return transform(images[0], uniforms, self.canvas)


def transform(images, uniforms, canvas: tuple[int, int]):
    """Scale, shear, rotate and shift the object in each image at random, within the borders of a canvas.

    The object is the smallest rectangle with all pixels that are not black. An object too large for the canvas is
    centred.

    Args:
        images: (batch, height, width, channels) float32.
        uniforms: (batch, 6), uniform in [0, 1), for rotation, shear, horizontal and vertical scale, horizontal and
            vertical position; 0.5 leaves the object upright, at its size and in the centre.
        canvas: (height, width).

    Returns:
        (batch, *canvas, channels) float32, resampled bilinearly.
    """
    rotation, shear, scale_x, scale_y, right, down = tf.unstack(uniforms, axis=1)
    angle = (2 * rotation - 1) * (_DEGREES * math.pi / 180)
    shear, cos, sin = (2 * shear - 1) * _SHEAR, tf.cos(angle), tf.sin(angle)
    scale_x, scale_y = 1 + (2 * scale_x - 1) * _SCALE, 1 + (2 * scale_y - 1) * _SCALE
    # The map of the object's (x, y), from its centre: rotation times shear times scale.
    a, b = cos * scale_x, (cos * shear - sin) * scale_y
    d, e = sin * scale_x, (sin * shear + cos) * scale_y
    (x, half_width), (y, half_height) = _extents(images, axis=1), _extents(images, axis=2)
    room_x = tf.maximum(canvas[1] - 2 * (abs(a) * half_width + abs(b) * half_height), 0.0)
    room_y = tf.maximum(canvas[0] - 2 * (abs(d) * half_width + abs(e) * half_height), 0.0)
    new_x = (canvas[1] - 1) / 2 + (right - 0.5) * room_x
    new_y = (canvas[0] - 1) / 2 + (down - 0.5) * room_y
    # `warp` takes the inverse map, from the canvas to the image. The determinant is that of the scale.
    size = scale_x * scale_y
    a, b, d, e = e / size, -b / size, -d / size, a / size
    matrices = tf.stack([a, b, x - a * new_x - b * new_y, d, e, y - d * new_x - e * new_y], axis=1)
    return warp(images, matrices, canvas)


def _extents(images, axis: int):
    """Find the centre and half the length of the object in each image along one image axis.

    The object consists of the pixels that are not black.

    Args:
        images: (batch, height, width, channels).
        axis: the axis that is looked along: 1 for the horizontal extent, 2 for the vertical one.
    """
    occupied = tf.cast(tf.reduce_any(images > 0, axis=(axis, 3)), tf.int32)
    first = tf.argmax(occupied, axis=1)
    last = occupied.shape[1] - 1 - tf.argmax(occupied[:, ::-1], axis=1)  # a black image is occupied whole
    first, last = tf.cast(first, tf.float32), tf.cast(last, tf.float32)
    return (first + last) / 2, (last - first + 1) / 2
