"""The capsule non-linearity and the length it bounds."""

from keras import ops

from encapnet_tf.ops.acceleration import jitted_helpers
from encapnet_tf.ops.capsules import merge_capsules, split_capsules
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
    squared = ops.sum(wide * wide, axis=axis, keepdims=True)  # LiteRT has no square of 8-bit integers
    return ops.cast(wide * (ops.sqrt(squared + _EPSILON) / (1.0 + squared)), x.dtype)


def relu_squash(x, capsule_dim: int, training: bool = False):
    """Squash of the ReLU of a capsule feature map: what follows the batch normalisation of a capConv layer.

    Args:
        x: (..., num_capsules * capsule_dim), capsule-major.
        capsule_dim: components of a capsule.
        training: whether a gradient will be taken; a hint for speed, never of the values.

    Returns:
        Tensor of the shape and dtype of `x`.

    Example:

    >>> import numpy as np
    >>> print(np.round(np.asarray(relu_squash(np.array([[3.0, 4.0, -3.0, 4.0]]), capsule_dim=2)), 4))
    [[0.5769 0.7692 0.     0.9412]]
    """
    helpers = jitted_helpers(training, x)
    return helpers.relu_squash(x, capsule_dim) if helpers else relu_squash_body(x, capsule_dim)


def relu_squash_body(x, capsule_dim):
    """`relu_squash` in plain operations."""
    return merge_capsules(squash(ops.relu(split_capsules(x, capsule_dim))))


def relu_squash_gradient(x, dy, capsule_dim):
    """The gradient of `relu_squash_body` at x, times dy: with r the ReLU of x, v = h(|r|^2) r and h' = dh / d|r|^2,

    dv = h dr + 2 h' <r, dr> r
    """
    x, dy = split_capsules(x, capsule_dim), split_capsules(dy, capsule_dim)
    r = ops.relu(x)
    squared = ops.sum(ops.square(r), axis=-1, keepdims=True)
    projection = ops.sum(r * dy, axis=-1, keepdims=True)
    length, shrink = ops.sqrt(squared + _EPSILON), 1.0 / (1.0 + squared)
    slope = (0.5 / length - length * shrink) * shrink
    dx = dy * (length * shrink) + r * (2.0 * slope * projection)
    return merge_capsules(ops.where(x > 0, dx, 0.0))


def scaled_relu_squash_gradient(x, scale, shift, dy, capsule_dim):
    """`relu_squash_gradient` at x * scale + shift, with respect to that."""
    return relu_squash_gradient(x * scale + shift, dy, capsule_dim)


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
    wide = at_least_float32(x)
    squared = ops.sum(wide * wide, axis=axis)
    return ops.cast(ops.sqrt(squared + _EPSILON), x.dtype)
