"""Augmentations that replace pixels by others: random erasing, CutMix and MixUp. The latter two mix labels too.

An image's partner is the one at the mirrored place of its batch; the order of a batch is random already.
"""

import functools

import numpy as np
import tensorflow as tf

_ERASED_SHARE = 0.25  # of images
_ERASED_AREA = (0.02, 1 / 3)
_ERASED_ASPECT = 0.3  # to its inverse
_MIXUP_ALPHA = 0.2
ERASING_NUMBERS, CUTMIX_NUMBERS, MIXUP_NUMBERS = 5, 3, 1


def erasing(images, numbers):
    """Random erasing: in a quarter of the images a rectangle takes the image's mean colour.

    Args:
        images: (batch, height, width, channels) float32.
        numbers: (batch, ERASING_NUMBERS), uniform in [0, 1): whether, area, aspect, and the centre's y and x.

    Returns:
        Images of the same shape.
    """
    whether, area, aspect, y, x = tf.unstack(numbers, axis=1)
    area = _ERASED_AREA[0] + area * (_ERASED_AREA[1] - _ERASED_AREA[0])
    ratio = tf.pow(_ERASED_ASPECT, 2 * aspect - 1)  # log-uniform
    inside = _boxes(images.shape[1:3], y, x, tf.sqrt(area * ratio), tf.sqrt(area / ratio))
    inside = tf.logical_and(inside, (whether < _ERASED_SHARE)[:, None, None])
    return tf.where(inside[..., None], tf.reduce_mean(images, axis=(1, 2), keepdims=True), images)


def cutmix(images, labels, numbers):
    """CutMix: a rectangle comes from the partner, and the same share of the label.

    Args:
        images: (batch, height, width, channels) float32.
        labels: (batch, classes) float32, one-hot or mixed already.
        numbers: (batch, CUTMIX_NUMBERS), uniform in [0, 1): the rectangle's area, its centre's y and x.

    Returns:
        Images and labels of the same shapes.
    """
    area, y, x = tf.unstack(numbers, axis=1)
    side = tf.sqrt(area)
    inside = _boxes(images.shape[1:3], y, x, side, side)
    share = tf.reduce_mean(tf.cast(inside, tf.float32), axis=(1, 2))[:, None]  # what lies beyond the edge is not there
    return tf.where(inside[..., None], images[::-1], images), labels + share * (labels[::-1] - labels)


def mixup(images, labels, numbers):
    """MixUp: image and label are mixed with the partner's, the partner's share being Beta(0.2, 0.2).

    Args:
        images: (batch, height, width, channels) float32.
        labels: (batch, classes) float32, one-hot or mixed already.
        numbers: (batch, MIXUP_NUMBERS), uniform in [0, 1).

    Returns:
        Images and labels of the same shapes.
    """
    table = tf.constant(_beta_quantiles())
    place = numbers[:, 0] * (table.shape[0] - 1)
    lower = tf.minimum(tf.cast(place, tf.int32), table.shape[0] - 2)
    share = tf.gather(table, lower) + (place - tf.cast(lower, tf.float32)) * (
        tf.gather(table, lower + 1) - tf.gather(table, lower)
    )
    mixed = images + share[:, None, None, None] * (images[::-1] - images)
    return mixed, labels + share[:, None] * (labels[::-1] - labels)


@functools.cache
def _beta_quantiles():
    """The inverse distribution function at 1,025 points: turns a uniform number into a Beta one."""
    from scipy.stats import beta

    return beta.ppf(np.linspace(0, 1, 1025), _MIXUP_ALPHA, _MIXUP_ALPHA).astype("float32")


def _boxes(size, y, x, height, width):
    """Which pixels lie in each image's rectangle; all arguments but `size` are shares (batch,).

    Returns:
        (batch, *size) bool.
    """
    rows = tf.abs((tf.range(size[0], dtype=tf.float32) + 0.5) / size[0] - y[:, None]) <= height[:, None] / 2
    columns = tf.abs((tf.range(size[1], dtype=tf.float32) + 0.5) / size[1] - x[:, None]) <= width[:, None] / 2
    return tf.logical_and(rows[:, :, None], columns[:, None, :])
