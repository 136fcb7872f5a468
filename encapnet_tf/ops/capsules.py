"""Functions that split a channel axis into a capsule axis and a component axis, or merge these two axes."""

from keras import ops as K

from encapnet_tf.arguments import whole_number
from encapnet_tf.ops.precision import numeric


def split_capsules(x, capsule_dim: int):
    """Split the channel axis of a tensor into two axes: the capsules and the components of each capsule.

    Args:
        x: tensor whose last axis is capsule-major channels.
        capsule_dim: components of a capsule; must divide the number of channels.

    Returns:
        The values of `x`, shape (..., num_capsules, capsule_dim).

    Raises:
        ValueError: `capsule_dim` does not divide the channels.

    Example:

    >>> import numpy as np
    >>> tuple(split_capsules(np.zeros((2, 8, 8, 64)), capsule_dim=4).shape)
    (2, 8, 8, 16, 4)
    """
    x, capsule_dim = numeric(x, "x"), whole_number("capsule_dim", capsule_dim)
    channels = x.shape[-1] if len(x.shape) else None
    if channels is None:
        raise ValueError(f"x must have a last axis of known size, the channels. Received: x of shape {x.shape}.")
    if channels % capsule_dim:
        raise ValueError(
            f"{channels} channels cannot be split into capsules of {capsule_dim} components each. "
            "capsule_dim must divide the number of channels."
        )
    return K.reshape(x, (*K.shape(x)[:-1], channels // capsule_dim, capsule_dim))


def merge_capsules(x):
    """Merge the capsule axis and the component axis, the last two axes of a tensor, into one channel axis.

    Args:
        x: tensor of shape (..., num_capsules, capsule_dim).

    Returns:
        The values of `x`, with capsule-major channels on the last axis.

    Raises:
        ValueError: `x` has fewer than two axes.
        TypeError: `x` has no real numbers.

    Example:

    >>> import numpy as np
    >>> tuple(merge_capsules(np.zeros((2, 8, 8, 16, 4))).shape)
    (2, 8, 8, 64)
    """
    x = numeric(x, "x")
    if len(x.shape) < 2:
        raise ValueError(f"x must have two last axes, (num_capsules, capsule_dim). Received: x of shape {x.shape}.")
    return K.reshape(x, (*K.shape(x)[:-2], x.shape[-2] * x.shape[-1]))
