"""RandAugment: for each image, two operations drawn from a list, at one strength.

Keras's own layer draws the same operations for a whole batch, from a generator that counts its calls; in a parallel
pipeline its result depends on the order of the calls. Here everything follows from the numbers given.
"""

import math

import tensorflow as tf

from . import colour
from .warp import about_centre, warp

_ROUNDS = 2
_STRENGTH = 0.3  # magnitude 9 of 30
NUMBERS = 2 * _ROUNDS  # an image: in each round, which operation, and how (its sign, which way)


def rand_augment(images, numbers):
    """Applies two random operations to each image.

    Args:
        images: (batch, height, width, channels) float32 from 0 to 255.
        numbers: (batch, NUMBERS), uniform in [0, 1).

    Returns:
        Images of the same shape.
    """
    for round_ in range(_ROUNDS):
        which = tf.cast(numbers[:, 2 * round_] * len(_OPERATIONS), tf.int32)
        sign = tf.where(numbers[:, 2 * round_ + 1] < 0.5, -1.0, 1.0)
        rows = tf.dynamic_partition(tf.range(tf.shape(images)[0]), which, len(_OPERATIONS))
        parts = [
            operation(tf.gather(images, own), tf.gather(sign, own))
            for operation, own in zip(_OPERATIONS, rows, strict=True)
        ]
        shape = images.shape
        images = tf.ensure_shape(tf.dynamic_stitch(rows, parts), shape)
    return images


def _geometric(linear=lambda s: (1.0, 0.0, 0.0, 1.0), shift=(0.0, 0.0)):
    """A warp about the centre: `linear` gives (a, b, d, e) of a signed strength, `shift` shares of width and height."""

    def operation(images, sign):
        size = images.shape[1:3]
        a, b, d, e = (tf.broadcast_to(value, tf.shape(sign)) for value in linear(sign * _STRENGTH))
        right, down = (share * sign * _STRENGTH * n for share, n in zip(shift, (size[1], size[0]), strict=True))
        return warp(images, about_centre(size, a, b, d, e, right, down), size)

    return operation


def _rotation(strength):
    angle = strength * math.radians(30)
    return tf.cos(angle), -tf.sin(angle), tf.sin(angle), tf.cos(angle)


def _enhanced(function):
    return lambda images, sign: function(images, 1 + 0.9 * sign * _STRENGTH)


_OPERATIONS = (
    lambda images, sign: images,
    lambda images, sign: colour.autocontrast(images),
    lambda images, sign: colour.equalize(images),
    lambda images, sign: colour.solarize(images, tf.ones_like(sign) * 256 * (1 - _STRENGTH)),
    lambda images, sign: colour.posterize(images, tf.ones_like(sign) * round(8 - 4 * _STRENGTH)),
    _enhanced(colour.brightness),
    _enhanced(colour.contrast),
    _enhanced(colour.saturation),
    _enhanced(colour.sharpness),
    _geometric(_rotation),
    _geometric(lambda s: (1.0, 0.3 * s, 0.0, 1.0)),
    _geometric(lambda s: (1.0, 0.0, 0.3 * s, 1.0)),
    _geometric(shift=(0.45, 0.0)),
    _geometric(shift=(0.0, 0.45)),
)
