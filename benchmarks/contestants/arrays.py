"""Random arrays, equal for every framework."""

import numpy as np


def normal(*shape, seed=0):
    """Return a float32 array of standard normal numbers."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def output_gradient(*shape):
    """Return the array that an output is multiplied by before its gradient is taken: random, 1 for a scalar."""
    return normal(*shape) if shape else np.ones((), "float32")


def convolution_arrays(shape, groups, batch):
    """Return input and kernel of a `grouped_conv_shapes.Shape` given as a dictionary.

    Channels last, capsule-major.
    """
    x = normal(batch, shape["size"], shape["size"], groups * shape["dim_in"])
    return x, 0.1 * normal(shape["kernel"], shape["kernel"], shape["dim_in"], groups * shape["dim_out"])
