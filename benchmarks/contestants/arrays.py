"""Random NumPy inputs for benchmarks, the same for every framework."""

import numpy as np


def normal(*shape, seed=0):
    """Return a float32 array with a given shape, filled with standard normal random numbers."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def output_gradient(*shape):
    """Return a random upstream gradient for an output of the given shape, or 1 for a scalar output.

    The output is multiplied by it before its gradient is taken.
    """
    return normal(*shape) if shape else np.ones((), "float32")


def convolution_arrays(shape, groups, batch):
    """Return random arrays for the input and kernel of a convolution.

    The shape is a `grouped_conv_shapes.Shape`, given as a dictionary.

    Channels last, capsule-major.
    """
    x = normal(batch, shape["size"], shape["size"], groups * shape["dim_in"])
    return x, 0.1 * normal(shape["kernel"], shape["kernel"], shape["dim_in"], groups * shape["dim_out"])
