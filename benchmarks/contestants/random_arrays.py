"""The same random numbers for every framework."""

import numpy as np


def normal(*shape, seed=0):
    """float32 array of standard normal numbers."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def direction(*shape):
    """What an output of that shape is multiplied by before its gradient is taken: random numbers, 1 for a scalar."""
    return normal(*shape) if shape else np.ones((), "float32")


def convolution_arrays(shape, groups, batch):
    """Input and kernel of a `grouped_conv_shapes.Shape` given as a dictionary; channels last, capsule-major."""
    x = normal(batch, shape["size"], shape["size"], groups * shape["dim_in"])
    return x, 0.1 * normal(shape["kernel"], shape["kernel"], shape["dim_in"], groups * shape["dim_out"])
