"""Augmentation of training batches: pure functions of the images and of numbers given, so that runs repeat and resume.

A chain is one base, which makes the view that the network sees, and any extras after it, in the order given.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from . import colour, mixing
from .rand_augment import NUMBERS as RAND_AUGMENT_NUMBERS
from .rand_augment import rand_augment
from .views import Views
from .warp import about_centre, warp


def _plain(images, numbers, views):
    return views.test(images)


def _affine(images, numbers, views, degrees=10.0, zoom=0.1, shift=0.1):
    """Rotates, zooms and shifts each image a little about its centre; no flips, for digits have a way up.

    Args:
        images: (batch, height, width, channels) float32.
        numbers: (batch, 5), uniform in [0, 1); at 0.5 nothing changes.
        views: what the network sees.
        degrees: largest angle either way.
        zoom: largest change of scale either way, for width and height by themselves.
        shift: largest move either way, as a share of the size.

    Returns:
        The images, bilinear, zero beyond their edges.
    """
    images = views.test(images)
    height, width = views.size
    angle, wider, higher, right, down = tf.unstack(2 * numbers - 1, axis=1)
    angle = angle * (degrees * math.pi / 180)
    a, b = tf.cos(angle) / (1 + zoom * wider), -tf.sin(angle) / (1 + zoom * higher)
    d, e = tf.sin(angle) / (1 + zoom * wider), tf.cos(angle) / (1 + zoom * higher)
    matrices = about_centre(views.size, a, b, d, e, right * shift * width, down * shift * height)
    return warp(images, matrices, views.size)


def _crop_flip(images, numbers, views):
    """The paper's "+": a random crop of the enlarged image, mirrored half of the time where classes allow it."""
    top, left, mirrored = tf.unstack(numbers[:, :3], axis=1)
    mirrored = tf.cast(mirrored < 0.5, tf.float32) if views.mirrors else tf.zeros_like(top)
    return views.crop(images, top, left, mirrored)


def _crop_flip_jitter(images, numbers, views, jitter=0.2):
    """The paper's "++": "+" from a larger image, then brightness, contrast and saturation by up to 0.2 either way.

    Differs from the paper: it does not say what is jittered; hue is left alone here.
    """
    images = _crop_flip(images, numbers, views)
    factors = 1 + jitter * (2 * numbers[:, 3:6] - 1)
    images = colour.brightness(images, factors[:, 0])
    images = colour.contrast(images, factors[:, 1])
    return colour.saturation(images, factors[:, 2])


@dataclass(frozen=True)
class _Step:
    """A link of a chain: how many random numbers it takes for an image, and what it does to a batch."""

    numbers: int
    apply: Callable  # (images, labels, numbers, views) -> images, labels
    mixes: bool = False


def _base(function):
    return lambda images, labels, numbers, views: (function(images, numbers, views), labels)


def _of_pixels(function):
    return lambda images, labels, numbers, views: (function(images, numbers), labels)


def _of_both(function):
    return lambda images, labels, numbers, views: function(images, labels, numbers)


STEPS = {
    "none": _Step(0, _base(_plain)),
    "affine": _Step(5, _base(_affine)),
    "+": _Step(3, _base(_crop_flip)),
    "++": _Step(6, _base(_crop_flip_jitter)),
    "randaugment": _Step(RAND_AUGMENT_NUMBERS, _of_pixels(rand_augment)),
    "erasing": _Step(mixing.ERASING_NUMBERS, _of_pixels(mixing.erasing)),
    "mixup": _Step(mixing.MIXUP_NUMBERS, _of_both(mixing.mixup), mixes=True),
    "cutmix": _Step(mixing.CUTMIX_NUMBERS, _of_both(mixing.cutmix), mixes=True),
}


class Augmentation:
    """A chain of augmentations for the batches of one data set.

    Args:
        names: a base ("none", "affine", "+", "++"), then any of "randaugment", "erasing", "mixup", "cutmix".
        views: what the network sees of the images.
        classes: number of classes.

    Attributes:
        numbers: how many random numbers an image takes.
        mixes: whether labels come out as rows (batch, classes) that sum to 1, mixed, rather than as integers.
    """

    def __init__(self, names, views: Views, classes: int):
        self.views, self.classes = views, classes
        self._steps = [STEPS[name] for name in names]
        self.numbers = sum(step.numbers for step in self._steps)
        self.mixes = mixes_labels(names)

    def __call__(self, images, labels, numbers):
        """Augments a batch.

        Args:
            images: (batch, height, width, channels) float32 from 0 to 255, as stored.
            labels: (batch,) int32.
            numbers: (batch, self.numbers), uniform in [0, 1).

        Returns:
            Images (batch, *views.size, channels) float32, and labels as they came or, if `mixes`, mixed rows.
        """
        if self.mixes:
            labels = tf.one_hot(labels, self.classes)
        first = 0
        for step in self._steps:
            images, labels = step.apply(images, labels, numbers[:, first : first + step.numbers], self.views)
            first += step.numbers
        return images, labels


def mixes_labels(names) -> bool:
    """Whether a chain mixes the labels of images."""
    return any(STEPS[name].mixes for name in names)
