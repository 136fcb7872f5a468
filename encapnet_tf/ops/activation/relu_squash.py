"""Function that applies ReLU, and then the squash function of capsule networks, to a feature map.

A separate function computes the gradient.
"""

from keras import ops as K

from encapnet_tf.ops.acceleration import run_compiled
from encapnet_tf.ops.capsules import merge_capsules, split_capsules
from encapnet_tf.ops.precision import floating
from encapnet_tf.ops.squash import EPSILON, squash


def relu_squash(x, capsule_dim: int, training: bool = False):
    """Apply ReLU and then squash to a capsule feature map.

    They end a capConv layer.

    Args:
        x: (..., num_capsules * capsule_dim), capsule-major.
        capsule_dim: components of a capsule.
        training: whether a gradient will be taken; changes speed and memory, never values.

    Returns:
        Tensor of the shape and dtype of `x`.

    Example:

    >>> import numpy as np
    >>> print(np.round(np.asarray(relu_squash(np.array([[3.0, 4.0, -3.0, 4.0]]), capsule_dim=2)), 4))
    [[0.5769 0.7692 0.     0.9412]]
    """
    x = floating(x, "x")
    return run_compiled(relu_squash_body, (x,), training, gradient=relu_squash_gradient, capsule_dim=capsule_dim)


def relu_squash_body(x, capsule_dim):
    """Apply ReLU and then squash to a capsule feature map with plain `keras.ops`."""
    return merge_capsules(squash(K.relu(split_capsules(x, capsule_dim))))


def relu_squash_gradient(x, dy, capsule_dim):
    """Compute the gradient of ReLU followed by squash with respect to the input.

    With r = relu(x), v = h(|r|^2) r and h' = dh / d|r|^2,

        dr = h dy + 2 h' <r, dy> r,    dx = 0 where x <= 0, else dr
    """
    x, dy = split_capsules(x, capsule_dim), split_capsules(dy, capsule_dim)
    r = K.relu(x)
    squared = K.sum(K.square(r), axis=-1, keepdims=True)
    projection = K.sum(r * dy, axis=-1, keepdims=True)
    length, shrink = K.sqrt(squared + EPSILON), 1.0 / (1.0 + squared)
    h = length * shrink
    h_slope = (0.5 / length - h) * shrink
    dr = dy * h + r * (2.0 * h_slope * projection)
    return merge_capsules(K.where(x <= 0, 0.0, dr))
