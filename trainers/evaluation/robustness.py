"""Measurement of accuracy on test images that are perturbed, for example by rotation, noise or an attack.

Images are disturbed after they are resized for the network. Nothing changes from run to run: the direction in which an
image turns or shifts, and its noise, follow from its index, where `keras.layers.RandomRotation`, `RandomTranslation`
and `GaussianNoise` would draw them. The attack is a single gradient, for which the libraries of adversarial attacks
would be a large dependency.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from ..data import AnySplit
from ..data.augmentation.views import Views
from ..data.augmentation.warp import about_centre, warp
from ..data.pipeline.batches import evaluation_batches
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .evaluate import run_data
from .predictions import PREDICT_BATCH, saved_model


def _rotate(model, images, labels, index, degrees):
    """Rotate images by a given angle, every second image in the opposite direction."""
    angle = degrees * (math.pi / 180) * (1 - 2 * tf.cast(index % 2, tf.float32))
    cos, sin = tf.cos(angle), tf.sin(angle)
    size = images.shape[1:3]
    return warp(images, about_centre(size, cos, -sin, sin, cos), size)


def _shift(model, images, labels, index, share):
    """Shift images left, right, up or down by a given fraction of the image size.

    Successive images take the four directions in turn. Pixels outside the image are black.
    """
    size = images.shape[1:3]
    right = tf.gather([1.0, -1.0, 0.0, 0.0], index % 4) * share * size[1]
    down = tf.gather([0.0, 0.0, 1.0, -1.0], index % 4) * share * size[0]
    one = tf.ones_like(right)
    return warp(images, about_centre(size, one, 0 * one, 0 * one, one, right, down), size)


def _add_noise(model, images, labels, index, level):
    """Add Gaussian noise with a standard deviation of `level` grey levels to images."""
    shape = images.shape[1:]
    noise = tf.map_fn(lambda i: tf.random.stateless_normal(shape, [i, 0]), index, fn_output_signature=tf.float32)
    return tf.clip_by_value(images + level * noise, 0.0, 255.0)


def _blur(model, images, labels, index, radius):
    """Blur images with a Gaussian filter whose standard deviation is `radius` pixels.

    A filter with rows and columns, not a convolution, so that pixels outside the image can count as absent.
    """
    for axis, size in ((1, images.shape[1]), (2, images.shape[2])):
        position = tf.range(size, dtype=tf.float32)
        distance = (position[:, None] - position) / tf.maximum(radius, 1e-3)
        images = tf.tensordot(images, tf.nn.softmax(-tf.square(distance) / 2, axis=0), [[axis], [0]])
        images = tf.transpose(images, [0, 3, 1, 2] if axis == 1 else [0, 1, 3, 2])
    return images


def _attack(model, images, labels, index, step):
    """Perturb images by the fast gradient sign method, towards the highest-scoring wrong class.

    Each pixel changes by `step` grey levels.

    x' = x + step * sign(d/dx (max_{c != y} log s_c(x) - log s_y(x))), s the scores, y the label.

    The gradient is not that of the training loss: the margin loss is flat beyond its margins, and a network without a
    gradient would look robust.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        scores = tf.math.log(tf.cast(model(images, training=False), tf.float32) + 1e-12)
        is_label = tf.one_hot(labels, scores.shape[-1], on_value=True, off_value=False)
        lead = tf.reduce_max(tf.where(is_label, -math.inf, scores), axis=1) - tf.gather(scores, labels, batch_dims=1)
    return tf.clip_by_value(images + step * tf.sign(tape.gradient(lead, images)), 0.0, 255.0)


@dataclass(frozen=True)
class Disturbance:
    """Image perturbation, such as rotation, with the strengths at which the accuracy is measured.

    Attributes:
        title: name for tables and plots.
        unit: unit of the sizes.
        sizes: sizes, from 0 upwards.
        apply: function of (model, images, labels, index, size) that returns the disturbed images.
    """

    title: str
    unit: str
    sizes: tuple[float, ...]
    apply: Callable


DISTURBANCES = {
    "rotations": Disturbance("Rotation", "degrees either way", (0, 10, 20, 30, 45, 60, 90), _rotate),
    "shifts": Disturbance("Shift", "share of the image's side", (0, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8), _shift),
    "noise": Disturbance("Noise", "standard deviation in grey levels of 255", (0, 8, 16, 32, 48, 64), _add_noise),
    "blur": Disturbance("Blur", "standard deviation in pixels", (0, 0.5, 1, 1.5, 2, 3), _blur),
    "fgsm": Disturbance("Fast gradient sign", "grey levels of 255", (0, 1, 2, 4, 8, 16, 32), _attack),
}


def accuracies(
    model: keras.Model,
    split: AnySplit,
    views: Views,
    name: str,
    batch_size: int,
    sizes: Sequence[float] | None = None,
) -> list[float]:
    """Compute a model's accuracy at each strength of an image perturbation, such as each rotation angle.

    Args:
        model: maps images (batch, height, width, channels), pixels from 0 to 255, to scores (batch, classes).
        split: images with labels.
        views: the part of an image that the network sees.
        name: the disturbance, a key of `DISTURBANCES`.
        batch_size: images a batch.
        sizes: of the disturbance; None takes those of `DISTURBANCES`.

    Returns:
        Accuracies from 0 to 1, in the order of the sizes.
    """
    disturbance = DISTURBANCES[name]

    @tf.function(reduce_retracing=True)
    def count_correct(images, labels, index, size):
        disturbed = disturbance.apply(model, images, labels, index, size)
        predicted = tf.argmax(model(disturbed, training=False), axis=1, output_type=tf.int32)
        return tf.reduce_sum(tf.cast(predicted == labels, tf.int32))

    results = []
    for size in sizes or disturbance.sizes:
        correct, first = 0, 0
        for images, labels in evaluation_batches(split, batch_size, views.test):
            index = tf.range(first, first + len(labels))
            # as a tensor, so that all sizes share one graph
            correct += int(count_correct(images, labels, index, tf.constant(float(size))))
            first += len(labels)
        results.append(correct / len(split))
    return results


def compare_runs(
    runs: list[RunDirectory], names: list[str], images: int | None = None
) -> tuple[dict[str, dict[str, list[float]]], int]:
    """Measure the accuracy of several trained models on the same perturbed test images.

    Args:
        runs: folders of the runs.
        names: the disturbances, keys of `DISTURBANCES`.
        images: number of test images, from the first on; None takes all.

    Returns:
        Disturbance -> title of a run -> its accuracies, and the number of images.

    Raises:
        UserError: the runs have different test images.
    """
    curves: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    labels: np.ndarray | None = None
    titles = _titles(runs)
    for run in runs:
        dataset = run_data(run)
        split = dataset.test.take(np.arange(min(images or len(dataset.test), len(dataset.test))))
        if labels is not None and not np.array_equal(labels, split.labels):
            raise UserError(f"{run.path} has other test images than {runs[0].path}: they cannot be compared.")
        labels = split.labels
        model = saved_model(run.file(RunDirectory.best_model_file))
        for name in names:
            curves[name][titles[run.path]] = accuracies(model, split, dataset.views, name, PREDICT_BATCH)
    return curves, len(labels) if labels is not None else 0


def table(name: str, curves: dict[str, list[float]]) -> str:
    """Format the accuracies of several models under one image perturbation as a plain-text table.

    Args:
        name: the disturbance, a key of `DISTURBANCES`.
        curves: title of a run -> its accuracies.
    """
    disturbance = DISTURBANCES[name]
    width = max(len(run) for run in curves)
    sizes = "".join(f"{np.round(size, 4):>9g}" for size in disturbance.sizes)
    lines = [f"{disturbance.title} ({disturbance.unit})", f"{'':<{width}}{sizes}"]
    lines += [f"{run:<{width}}" + "".join(f"{value:>9.2%}" for value in values) for run, values in curves.items()]
    return "\n".join(lines)


def _titles(runs: list[RunDirectory]) -> dict:
    """Map the folder of each training run to a display name, such as "encapnet18".

    The run's folder is appended if several runs have the same network.
    """
    models = {run.path: run.read_json(RunDirectory.config_file, "config")["config"]["model"] for run in runs}
    names = list(models.values())
    return {path: name if names.count(name) == 1 else f"{name} ({path})" for path, name in models.items()}
