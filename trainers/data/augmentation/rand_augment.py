"""RandAugment image augmentation, which applies two random operations to each image at a fixed strength.

Ours: `keras.layers.RandAugment` draws the same operations for a whole batch from a generator that counts its calls, so
that in a parallel pipeline its result depends on the order of the calls; here everything follows from numbers keyed by
(seed, epoch, index), which exact resuming needs.
"""

import math

import tensorflow as tf

from . import colour
from .warp import about_centre, warp

_ROUNDS = 2
_STRENGTH = 0.3  # magnitude 9 of 30
NUM_UNIFORMS = 2 * _ROUNDS  # for each image and round: one chooses the operation, one its direction


def rand_augment(images, uniforms):
    """Apply RandAugment, which applies two randomly chosen operations to each image.

    Args:
        images: (batch, height, width, channels) float32 from 0 to 255.
        uniforms: (batch, NUM_UNIFORMS), uniform in [0, 1).

    Returns:
        Images of the same shape.
    """
    shape = images.shape
    for round_ in range(_ROUNDS):
        choice = tf.cast(uniforms[:, 2 * round_] * len(_OPERATIONS), tf.int32)
        sign = tf.where(uniforms[:, 2 * round_ + 1] < 0.5, -1.0, 1.0)
        # Each operation runs once, on the images that chose it.
        groups = tf.dynamic_partition(tf.range(tf.shape(images)[0]), choice, len(_OPERATIONS))
        results = [
            operation(tf.gather(images, group), tf.gather(sign, group))
            for operation, group in zip(_OPERATIONS, groups, strict=True)
        ]
        images = tf.ensure_shape(tf.dynamic_stitch(groups, results), shape)
    return images


def _geometric(linear=lambda s: (1.0, 0.0, 0.0, 1.0), shift=(0.0, 0.0)):
    """Return a RandAugment operation that applies a geometric transformation, such as a rotation or a shear.

    Args:
        linear: function of the signed strength (batch,) that returns the matrix entries (a, b, d, e); see
            `about_centre`.
        shift: (right, down), as fractions of width and height at full strength.
    """

    def operation(images, sign):
        size = images.shape[1:3]
        a, b, d, e = (tf.broadcast_to(value, tf.shape(sign)) for value in linear(sign * _STRENGTH))
        right, down = (share * sign * _STRENGTH * n for share, n in zip(shift, (size[1], size[0]), strict=True))
        return warp(images, about_centre(size, a, b, d, e, right, down), size)

    return operation


def _rotation(strength):
    angle = strength * math.radians(30)
    return tf.cos(angle), -tf.sin(angle), tf.sin(angle), tf.cos(angle)


def _enhancement(function):
    """Return a RandAugment operation that strengthens or weakens a colour property of images, such as contrast."""
    return lambda images, sign: function(images, 1 + 0.9 * sign * _STRENGTH)


_OPERATIONS = (
    lambda images, sign: images,
    lambda images, sign: colour.autocontrast(images),
    lambda images, sign: colour.equalize(images),
    lambda images, sign: colour.solarize(images, tf.ones_like(sign) * 256 * (1 - _STRENGTH)),
    lambda images, sign: colour.posterize(images, tf.ones_like(sign) * round(8 - 4 * _STRENGTH)),
    _enhancement(colour.brightness),
    _enhancement(colour.contrast),
    _enhancement(colour.saturation),
    _enhancement(colour.sharpness),
    _geometric(_rotation),
    _geometric(lambda s: (1.0, 0.3 * s, 0.0, 1.0)),
    _geometric(lambda s: (1.0, 0.0, 0.3 * s, 1.0)),
    _geometric(shift=(0.45, 0.0)),
    _geometric(shift=(0.0, 0.45)),
)
