"""Capsules are channels: channel = capsule * capsule_dim + component."""

from keras import ops


def split_capsules(x, capsule_dim: int):
    """Gives capsules an axis of their own: (..., num_capsules * capsule_dim) -> (..., num_capsules, capsule_dim).

    Args:
        x: tensor whose last axis is capsule-major channels.
        capsule_dim: components of a capsule; must divide the number of channels.

    Returns:
        The same values, shape (..., num_capsules, capsule_dim).

    Example:

    >>> import numpy as np
    >>> tuple(split_capsules(np.zeros((2, 8, 8, 64)), capsule_dim=4).shape)
    (2, 8, 8, 16, 4)
    """
    channels = x.shape[-1]
    if channels % capsule_dim:
        raise ValueError(f"{channels} channels cannot be read as capsules of {capsule_dim} components each.")
    return ops.reshape(x, (*ops.shape(x)[:-1], channels // capsule_dim, capsule_dim))


def merge_capsules(x):
    """Undoes `split_capsules`: (..., num_capsules, capsule_dim) -> (..., num_capsules * capsule_dim).

    Args:
        x: tensor of shape (..., num_capsules, capsule_dim).

    Returns:
        The same values with capsule-major channels.

    Example:

    >>> import numpy as np
    >>> tuple(merge_capsules(np.zeros((2, 8, 8, 16, 4))).shape)
    (2, 8, 8, 64)
    """
    return ops.reshape(x, (*ops.shape(x)[:-2], x.shape[-2] * x.shape[-1]))
