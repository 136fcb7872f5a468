"""Augmentations that erase part of an image or mix pairs of images: random erasing, CutMix and MixUp.

All three are ours: Keras's RandomErasing, CutMix and MixUp draw their numbers themselves, which cannot be keyed by
(seed, epoch, index) for exact resuming. In CutMix and MixUp, image i of a batch is mixed with image n - 1 - i; the
order of a training batch is random already.
"""

import functools

import numpy as np
import tensorflow as tf

_ERASING_PROBABILITY = 0.25
_ERASING_AREA = (0.02, 1 / 3)  # smallest and largest, as fractions of the image
_ERASING_ASPECT = 0.3  # smallest aspect ratio; the largest is its inverse
_MIXUP_ALPHA = 0.2
ERASING_UNIFORMS, CUTMIX_UNIFORMS, MIXUP_UNIFORMS = 5, 3, 1  # random numbers for each image


def erasing(images, uniforms):
    """Apply random erasing: in 25 % of the images, fill a random rectangle with the mean colour of the image.

    Args:
        images: (batch, height, width, channels) float32.
        uniforms: (batch, ERASING_UNIFORMS), uniform in [0, 1), which decide on: erasing at all, area, aspect ratio,
            the centre's y and x.

    Returns:
        Images of the same shape.
    """
    chance, area, aspect, y, x = tf.unstack(uniforms, axis=1)
    area = _ERASING_AREA[0] + area * (_ERASING_AREA[1] - _ERASING_AREA[0])
    ratio = tf.pow(_ERASING_ASPECT, 2 * aspect - 1)  # log-uniform
    inside = _rectangle_masks(images.shape[1:3], y, x, tf.sqrt(area * ratio), tf.sqrt(area / ratio))
    inside = tf.logical_and(inside, (chance < _ERASING_PROBABILITY)[:, None, None])
    return tf.where(inside[..., None], tf.reduce_mean(images, axis=(1, 2), keepdims=True), images)


def cutmix(images, labels, uniforms):
    """Apply CutMix, which pastes a rectangle from another image and mixes the two labels in proportion to area.

    Args:
        images: (batch, height, width, channels) float32.
        labels: (batch, classes) float32, one-hot or mixed already.
        uniforms: (batch, CUTMIX_UNIFORMS), uniform in [0, 1): the rectangle's area, its centre's y and x.

    Returns:
        Images and labels of the same shapes.
    """
    area, y, x = tf.unstack(uniforms, axis=1)
    side = tf.sqrt(area)
    inside = _rectangle_masks(images.shape[1:3], y, x, side, side)
    share = tf.reduce_mean(tf.cast(inside, tf.float32), axis=(1, 2))[:, None]  # counts only pixels within the image
    return tf.where(inside[..., None], images[::-1], images), labels + share * (labels[::-1] - labels)


def mixup(images, labels, uniforms):
    """Apply MixUp, which blends pairs of images and labels with random weights from the Beta(0.2, 0.2) distribution.

    Args:
        images: (batch, height, width, channels) float32.
        labels: (batch, classes) float32, one-hot or mixed already.
        uniforms: (batch, MIXUP_UNIFORMS), uniform in [0, 1).

    Returns:
        Images and labels of the same shapes.
    """
    table = tf.constant(_beta_quantiles())
    position = uniforms[:, 0] * (table.shape[0] - 1)
    lower = tf.minimum(tf.cast(position, tf.int32), table.shape[0] - 2)
    share = tf.gather(table, lower) + (position - tf.cast(lower, tf.float32)) * (
        tf.gather(table, lower + 1) - tf.gather(table, lower)
    )
    mixed = images + share[:, None, None, None] * (images[::-1] - images)
    return mixed, labels + share[:, None] * (labels[::-1] - labels)


@functools.cache
def _beta_quantiles():
    """Return 1,025 quantiles of the Beta(0.2, 0.2) distribution, as a lookup table for sampling MixUp weights."""
    from scipy.stats import beta

    return beta.ppf(np.linspace(0, 1, 1025), _MIXUP_ALPHA, _MIXUP_ALPHA).astype("float32")


def _rectangle_masks(size, y, x, height, width):
    """Return one boolean mask per image, which is true inside a rectangle and false elsewhere.

    The masks have the shape (batch, height, width).

    Args:
        size: (height, width) of the images, in pixels.
        y, x: (batch,) centres of the rectangles, as fractions of the images' height and width.
        height, width: (batch,) sizes of the rectangles, as fractions of the images' height and width.
    """
    rows = tf.abs((tf.range(size[0], dtype=tf.float32) + 0.5) / size[0] - y[:, None]) <= height[:, None] / 2
    columns = tf.abs((tf.range(size[1], dtype=tf.float32) + 0.5) / size[1] - x[:, None]) <= width[:, None] / 2
    return tf.logical_and(rows[:, :, None], columns[:, None, :])
