"""Image augmentation as a sequence of steps, such as random crops, horizontal flips and MixUp.

All steps are ours, since Keras's random layers cannot be keyed by (seed, epoch, index), which exact resuming needs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from . import colour, mixing
from .rand_augment import NUM_UNIFORMS as RAND_AUGMENT_UNIFORMS
from .rand_augment import rand_augment
from .views import Views
from .warp import about_centre, warp


def _plain(images, uniforms, views):
    return views.test(images)


def _affine(images, uniforms, views, *, degrees=10.0, zoom=0.1, shift=0.1):
    """Rotate, zoom and shift each image by small random amounts, without flips.

    Made for handwritten digits, which a flip would change.

    Args:
        images: (batch, height, width, channels) float32.
        uniforms: (batch, 5), uniform in [0, 1); 0.5 leaves the image unchanged.
        views: size of the network's input.
        degrees: largest rotation to either side.
        zoom: largest relative change of scale, drawn separately for width and height.
        shift: largest shift to either side, as a fraction of the image's size.

    Returns:
        (batch, *views.size, channels), resampled bilinearly, 0 beyond the image's edges.
    """
    images = views.test(images)
    height, width = views.size
    rotation, zoom_x, zoom_y, shift_x, shift_y = tf.unstack(2 * uniforms - 1, axis=1)
    angle = rotation * (degrees * math.pi / 180)
    a, b = tf.cos(angle) / (1 + zoom * zoom_x), -tf.sin(angle) / (1 + zoom * zoom_y)
    d, e = tf.sin(angle) / (1 + zoom * zoom_x), tf.cos(angle) / (1 + zoom * zoom_y)
    matrices = about_centre(views.size, a, b, d, e, shift_x * shift * width, shift_y * shift * height)
    return warp(images, matrices, views.size)


def _crop_flip(images, uniforms, views):
    """Apply the augmentation "+" of the EncapNet paper, which crops and flips images at random.

    They are enlarged before they are cropped, and not flipped where that would change their class.
    """
    top, left, mirror = tf.unstack(uniforms[:, :3], axis=1)
    mirror = tf.cast(mirror < 0.5, tf.float32) if views.mirrors else tf.zeros_like(top)
    return views.crop(images, top, left, mirror)


def _crop_flip_jitter(images, uniforms, views, jitter=0.2):
    """Apply the augmentation "++" of the EncapNet paper: random crops, horizontal flips and colour jitter.

    Brightness, contrast and saturation change by up to 20 %.

    Differs from the paper: it does not say which colour properties it jitters; hue is left unchanged here.
    """
    images = _crop_flip(images, uniforms, views)
    factors = 1 + jitter * (2 * uniforms[:, 3:6] - 1)
    images = colour.brightness(images, factors[:, 0])
    images = colour.contrast(images, factors[:, 1])
    return colour.saturation(images, factors[:, 2])


@dataclass(frozen=True)
class _Step:
    """One image augmentation step, such as MixUp or random cropping.

    Attributes:
        num_uniforms: random numbers that the step takes for each image.
        apply: (images, labels, uniforms, views) -> images, labels.
        mixes: whether the step mixes labels.
    """

    num_uniforms: int
    apply: Callable
    mixes: bool = False


def _base_step(num_uniforms, function):
    return _Step(num_uniforms, lambda images, labels, uniforms, views: (function(images, uniforms, views), labels))


def _pixel_step(num_uniforms, function):
    return _Step(num_uniforms, lambda images, labels, uniforms, views: (function(images, uniforms), labels))


def _mixing_step(num_uniforms, function):
    return _Step(num_uniforms, lambda images, labels, uniforms, views: function(images, labels, uniforms), mixes=True)


STEPS = {
    "none": _base_step(0, _plain),
    "affine": _base_step(5, _affine),
    "+": _base_step(3, _crop_flip),
    "++": _base_step(6, _crop_flip_jitter),
    "randaugment": _pixel_step(RAND_AUGMENT_UNIFORMS, rand_augment),
    "erasing": _pixel_step(mixing.ERASING_UNIFORMS, mixing.erasing),
    "mixup": _mixing_step(mixing.MIXUP_UNIFORMS, mixing.mixup),
    "cutmix": _mixing_step(mixing.CUTMIX_UNIFORMS, mixing.cutmix),
}


class Augmentation:
    """Callable that augments batches of training images by a sequence of steps, such as random crops and MixUp.

    Args:
        names: a base ("none", "affine", "+", "++"), then any of "randaugment", "erasing", "mixup", "cutmix".
        views: crops and size of the network's input.
        classes: number of classes.

    Attributes:
        num_uniforms: random numbers that the chain takes for each image.
        mixes: whether labels come out as mixed rows (batch, classes) that sum to 1, rather than as integers.
    """

    def __init__(self, names, views: Views, classes: int):
        self.views, self.classes = views, classes
        self._steps = [STEPS[name] for name in names]
        self.num_uniforms = sum(step.num_uniforms for step in self._steps)
        self.mixes = mixes_labels(names)

    def __call__(self, images, labels, uniforms):
        """Augment a batch of images and labels, using random numbers passed as an argument.

        Args:
            images: (batch, height, width, channels) float32 from 0 to 255, as stored.
            labels: (batch,) int32.
            uniforms: (batch, self.num_uniforms), uniform in [0, 1).

        Returns:
            Images (batch, *views.size, channels) float32, and the labels: unchanged, or (batch, classes) float32 if
            `mixes`.
        """
        if self.mixes:
            labels = tf.one_hot(labels, self.classes)
        first = 0
        for step in self._steps:
            images, labels = step.apply(images, labels, uniforms[:, first : first + step.num_uniforms], self.views)
            first += step.num_uniforms
        return images, labels


def mixes_labels(names) -> bool:
    """Return whether an augmentation pipeline has a step that mixes labels of several images, such as MixUp."""
    return any(STEPS[name].mixes for name in names)
