"""Accuracy against the size of a disturbance of test images: rotation, shift, and the fast gradient sign attack.

Images are disturbed as the network sees them. Everything is deterministic: which way image i turns or moves follows
from i.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ..data.augmentation.warp import about_centre, warp
from ..data.pipeline.batches import evaluation_batches


def _rotated(model, images, labels, index, degrees):
    """Odd images turn one way, even ones the other."""
    angle = degrees * (math.pi / 180) * (1 - 2 * tf.cast(index % 2, tf.float32))
    cos, sin = tf.cos(angle), tf.sin(angle)
    size = images.shape[1:3]
    return warp(images, about_centre(size, cos, -sin, sin, cos), size)


def _shifted(model, images, labels, index, share):
    """Image i moves in one of four directions, by parts of a pixel too (bilinear); what comes in is black."""
    size = images.shape[1:3]
    right = tf.gather([1.0, -1.0, 0.0, 0.0], index % 4) * share * size[1]
    down = tf.gather([0.0, 0.0, 1.0, -1.0], index % 4) * share * size[0]
    one = tf.ones_like(right)
    return warp(images, about_centre(size, one, 0 * one, 0 * one, one, right, down), size)


def _attacked(model, images, labels, index, step):
    """Fast gradient sign: one step of `step` grey levels in the direction that most helps the strongest wrong class.

    The direction is the gradient of the wrong class's lead in log score over the true class, for every network alike.
    The loss that a network was trained with would not do: the margin loss is flat beyond its margins, and an attack
    that sees no gradient there would pass for robustness.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        scores = tf.math.log(tf.cast(model(images, training=False), tf.float32) + 1e-12)
        true = tf.one_hot(labels, scores.shape[-1], on_value=True, off_value=False)
        lead = tf.reduce_max(tf.where(true, -math.inf, scores), axis=1) - tf.gather(scores, labels, batch_dims=1)
    return tf.clip_by_value(images + step * tf.sign(tape.gradient(lead, images)), 0.0, 255.0)


@dataclass(frozen=True)
class Disturbance:
    """What is done to images, in which unit, and in which sizes."""

    title: str
    unit: str
    sizes: tuple
    apply: Callable  # (model, images, labels, index, size) -> images


DISTURBANCES = {
    "rotations": Disturbance("Rotation", "degrees either way", (0, 10, 20, 30, 45, 60, 90), _rotated),
    "shifts": Disturbance("Shift", "share of the image's side", (0, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8), _shifted),
    "fgsm": Disturbance("Fast gradient sign", "grey levels of 255", (0, 1, 2, 4, 8, 16, 32), _attacked),
}


def accuracies(model, split, views, name: str, batch_size: int) -> list:
    """A model's accuracy at each size of a disturbance.

    Args:
        model: a Keras model, images (batch, height, width, channels) from 0 to 255 -> scores (batch, classes).
        split: images with labels.
        views: what the network sees of them.
        name: of the disturbance.
        batch_size: images at a time.

    Returns:
        Accuracies from 0 to 1, in the order of the disturbance's sizes.
    """
    disturbance = DISTURBANCES[name]

    @tf.function(reduce_retracing=True)
    def right(images, labels, index, size):
        disturbed = disturbance.apply(model, images, labels, index, size)
        predicted = tf.argmax(model(disturbed, training=False), axis=1, output_type=tf.int32)
        return tf.reduce_sum(tf.cast(predicted == labels, tf.int32))

    results = []
    for size in map(tf.constant, map(float, disturbance.sizes)):  # tensors: one graph serves all sizes
        correct, first = 0, 0
        for images, labels in evaluation_batches(split, batch_size, views.test):
            index = tf.range(first, first + len(labels))
            correct += int(right(images, labels, index, size))
            first += len(labels)
        results.append(correct / len(split))
    return results


def table(name: str, curves: dict) -> str:
    """Accuracies as text.

    Args:
        name: of the disturbance.
        curves: name of a run -> its accuracies.
    """
    disturbance = DISTURBANCES[name]
    width = max(len(run) for run in curves)
    sizes = "".join(f"{np.round(size, 4):>9g}" for size in disturbance.sizes)
    lines = [f"{disturbance.title} ({disturbance.unit})", f"{'':<{width}}{sizes}"]
    lines += [f"{run:<{width}}" + "".join(f"{value:>9.2%}" for value in values) for run, values in curves.items()]
    return "\n".join(lines)
