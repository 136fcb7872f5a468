"""Functions that squash capsules or compute capsule lengths."""

from keras import ops as K

from encapnet_tf.ops.precision import at_least_float32, floating

# Added under the square root, whose gradient at 0 is not finite. It is far below any squared length that float32 can
# tell from 0 after the squash, so no value that matters changes.
EPSILON = 1e-12


def squash(x, axis: int = -1):
    """Scale each capsule vector to a length in [0, 1) without changing the direction (squash).

        v = |s|^2 / (1 + |s|^2) * s / |s|    (section 2.1 of the paper)

    The derivative is written out in `ops/activation/relu_squash.py` for the training step: change both together. Value
    and gradient are finite at s = 0 and up to lengths of 1e18, in every floating dtype, with and without XLA.

    Args:
        x: s; capsules lie along `axis`.
        axis: the axis of the capsule's components.

    Returns:
        v, tensor of the shape and dtype of `x` (integers and booleans become `floatx`).

    Example:

    >>> import numpy as np
    >>> print(np.round(np.asarray(squash(np.array([[3.0, 4.0]]))), 4))
    [[0.5769 0.7692]]
    """
    x = floating(x)
    wide = at_least_float32(x)
    squared = K.sum(wide * wide, axis=axis, keepdims=True)  # K.square has no 8-bit kernel in LiteRT
    return K.cast(wide * (K.sqrt(squared + EPSILON) / (1.0 + squared)), x.dtype)


def capsule_length(x, axis: int = -1):
    """Return the Euclidean length of each capsule.

    It is read as the probability that the entity which the capsule represents is present.

    Args:
        x: tensor; capsules lie along `axis`.
        axis: the axis of the capsule's components; it disappears.

    Returns:
        Lengths, |x| along `axis`, in the dtype of `x` (`floatx` for integers); the gradient at 0 is finite.

    Example:

    >>> import numpy as np
    >>> print(np.asarray(capsule_length(np.array([[3.0, 4.0]]))))
    [5.]
    """
    x = floating(x)
    wide = at_least_float32(x)
    squared = K.sum(wide * wide, axis=axis)
    return K.cast(K.sqrt(squared + EPSILON), x.dtype)
