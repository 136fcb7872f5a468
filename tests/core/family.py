"""Figures of the reference implementations of other capsule algorithms, and gradients to compare with them."""

from pathlib import Path

import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).parents[1] / "data" / "family"
FILES = {path.stem for path in FOLDER.glob("*.npz")}


def figures(name):
    return np.load(FOLDER / f"{name}.npz")


def error(ours, reference):
    """Relative error in the Frobenius norm."""
    ours, reference = np.float64(ours), np.float64(reference)
    return np.linalg.norm(ours - reference) / np.linalg.norm(reference)


def outputs_and_gradients(function, inputs, cotangents, weights=()):
    """Return the list of a function's outputs, and the gradients of their products with the cotangents.

    Args:
        function: of the tensors `inputs`; returns a tensor or a list.
        inputs: arrays.
        cotangents: an array for each output.
        weights: variables; their gradients follow those of the inputs.
    """
    inputs = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.nest.flatten(function(*inputs))
        total = sum(tf.reduce_sum(y * cotangent) for y, cotangent in zip(outputs, cotangents, strict=True))
    return outputs, tape.gradient(total, [*inputs, *(weight.value for weight in weights)])


def assert_equal(ours, references, limit):
    """Compare lists of arrays of equal sizes, whatever their shapes."""
    for y, reference in zip(ours, references, strict=True):
        assert error(np.ravel(y), np.ravel(reference)) < limit
