"""The capsule non-linearity and the length it bounds."""

from keras import ops

from encapnet_tf.ops.precision import at_least_float32

# Inside the square root: the gradient of a norm at 0 is NaN without it. Far below any length float32 can tell from 0
# after the squash, so it changes no value that matters.
_EPSILON = 1e-12


def squash(x, axis: int = -1):
    """Shrinks a capsule to a length in [0, 1) and keeps its direction.

    The paper's squash, v = |s|^2 / (1 + |s|^2) * s / |s| (section 2.1). Value and gradient are finite at s = 0
    and up to lengths of 1e18, in every floating dtype, with and without XLA.

    Args:
        x: floating tensor; capsules lie along `axis`.
        axis: the axis of the capsule's components.

    Returns:
        Tensor of the shape and dtype of `x`.

    Example:

    >>> import numpy as np
    >>> print(np.round(np.asarray(squash(np.array([[3.0, 4.0]]))), 4))
    [[0.5769 0.7692]]
    """
    x = ops.convert_to_tensor(x)
    wide = at_least_float32(x)
    squared = ops.sum(ops.square(wide), axis=axis, keepdims=True)
    return ops.cast(wide * (ops.sqrt(squared + _EPSILON) / (1.0 + squared)), x.dtype)


def capsule_length(x, axis: int = -1):
    """Length of each capsule, the probability that what it stands for is present.

    Args:
        x: floating tensor; capsules lie along `axis`.
        axis: the axis of the capsule's components; it disappears.

    Returns:
        Lengths, |x| along `axis`, in the dtype of `x`; the gradient at 0 is finite.

    Example:

    >>> import numpy as np
    >>> print(np.asarray(capsule_length(np.array([[3.0, 4.0]]))))
    [5.]
    """
    x = ops.convert_to_tensor(x)
    squared = ops.sum(ops.square(at_least_float32(x)), axis=axis)
    return ops.cast(ops.sqrt(squared + _EPSILON), x.dtype)
