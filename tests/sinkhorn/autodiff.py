"""What TensorFlow's tape says of the divergence, and finite differences of any function of two sets."""

import numpy as np
import tensorflow as tf

import encapnet_tf as en


def value_and_gradients(x, y, function=en.ops.sinkhorn_divergence, **options):
    """The value, and its gradients with respect to x and y stacked into (2, size, features)."""
    x, y = tf.constant(x), tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        value = function(x, y, **options)
    return value.numpy(), np.stack([gradient.numpy() for gradient in tape.gradient(value, [x, y])])


def directional(function, x, y, direction, step=1e-5):
    """Central difference of function(x, y) along `direction`, stacked as above."""
    (up_x, up_y), (down_x, down_y) = np.stack([x, y]) + step * direction, np.stack([x, y]) - step * direction
    return (float(function(up_x, up_y)) - float(function(down_x, down_y))) / (2 * step)


def random_direction(shape, seed=1):
    direction = np.random.default_rng(seed).normal(size=shape)
    return direction / np.linalg.norm(direction)


def relative_error(ours, reference):
    """In the Frobenius norm."""
    return np.linalg.norm(np.float64(ours) - reference) / np.linalg.norm(reference)
