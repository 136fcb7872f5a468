"""Pairs of point sets for transport problems, and gradients of functions of two sets."""

import numpy as np
import tensorflow as tf

import encapnet_tf as en
from tests.sinkhorn.reference import cost_matrix

COSTS = ("cosine", "euclidean", "sqeuclidean")


def gaussian(rng, size, features):
    return rng.normal(size=(size, features)), 0.7 * rng.normal(size=(size, features)) + 0.5


def uniform(rng, size, features):
    return rng.random((size, features)), rng.random((size, features))


def clustered(rng, size, features):
    centres = 3 * rng.normal(size=(3, features))
    return tuple(centres[rng.integers(3, size=size)] + 0.05 * rng.normal(size=(size, features)) for _ in range(2))


def identical(rng, size, features):
    x = rng.normal(size=(size, features))
    return x, x.copy()


def permuted(rng, size, features):
    x = rng.normal(size=(size, features))
    return x, x[rng.permutation(size)]


def zero_rows(rng, size, features):
    """Features after a ReLU: never negative, and some samples without any."""
    x, y = (np.maximum(rng.normal(size=(size, features)), 0) for _ in range(2))
    x[: size // 3] = 0
    y[-1] = 0
    return x, y


def nearly_coincident(rng, size, features):
    x = rng.normal(size=(size, features))
    return x, x + 1e-4 * rng.normal(size=(size, features))


def offset(rng, size, features):
    x, y = gaussian(rng, size, features)
    return x + 1000, y + 1000


def single(rng, size, features):
    return gaussian(rng, 1, features)


def pair(rng, size, features):
    return gaussian(rng, 2, features)


KINDS = {
    kind.__name__: kind
    for kind in (
        gaussian,
        uniform,
        clustered,
        identical,
        permuted,
        zero_rows,
        nearly_coincident,
        offset,
        single,
        pair,
    )
}


def paired(rows, choices):
    """Return (*row, choice) for each row, with the choices in turn along all axes: each pair of values occurs.

    The rows are a product of two axes, such as kinds of sets and costs; the choice is that of the sum of the indices.
    """
    firsts, seconds = (list(dict.fromkeys(row[axis] for row in rows)) for axis in (0, 1))
    return [(*row, choices[(firsts.index(row[0]) + seconds.index(row[1])) % len(choices)]) for row in rows]


def problem(kind, size=12, features=4, seed=0):
    """Return two sets (size, features) of a kind, in float32, so that every solver starts from equal points."""
    x, y = KINDS[kind](np.random.default_rng(seed), size, features)
    return np.float32(x), np.float32(y)


def cost_scale(x, y, cost):
    """Return the scale for errors of a cost: the mean of Q, or 1 where there is nothing to transport."""
    mean = float(np.mean(cost_matrix(x, y, cost)))
    return mean if mean > 1e-6 else 1.0


def value_and_gradients(x, y, function=en.ops.sinkhorn_divergence, **options):
    """Return the value, and its gradients with respect to x and y stacked into (2, size, features)."""
    x, y = tf.constant(x), tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        value = function(x, y, **options)
    return value.numpy(), np.stack([gradient.numpy() for gradient in tape.gradient(value, [x, y])])


def directional(function, x, y, direction, step=1e-5):
    """Return the central difference of function(x, y) along `direction`, of shape (2, size, features)."""
    (up_x, up_y), (down_x, down_y) = np.stack([x, y]) + step * direction, np.stack([x, y]) - step * direction
    return (float(function(up_x, up_y)) - float(function(down_x, down_y))) / (2 * step)


def random_direction(shape, seed=1):
    direction = np.random.default_rng(seed).normal(size=shape)
    return direction / np.linalg.norm(direction)


def relative_error(ours, reference):
    """Return the relative error in the Frobenius norm."""
    return np.linalg.norm(np.float64(ours) - reference) / np.linalg.norm(reference)
