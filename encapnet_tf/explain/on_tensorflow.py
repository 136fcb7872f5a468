"""Function that computes a gradient with TensorFlow."""

import tensorflow as tf


def gradient(function, x):
    """Return the gradient of a scalar function of one tensor, or None if the function does not depend on it."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)
