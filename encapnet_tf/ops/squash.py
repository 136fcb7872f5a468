"""Functions that squash capsules or compute capsule lengths."""

from keras import ops as K

from encapnet_tf.arguments import check_axes, finite_number, one_of
from encapnet_tf.ops.precision import at_least_float32, floating

# Added under the square root, whose gradient at 0 is not finite. It is far below any squared length that float32 can
# tell from 0 after the squash, so no value that matters changes.
EPSILON = 1e-12
KINDS = ("norm", "exponential")
_EPSILON_EXPONENTIAL = 1e-20  # the value of Efficient-CapsNet's release


def squash(x, axis: int | tuple[int, ...] = -1, kind: str = "norm", epsilon: float | None = None):
    """Scale each capsule vector to a length in [0, 1) without changing the direction (squash).

        "norm":         v = |s|^2 / (1 + |s|^2) * s / |s|    (section 2.1 of the paper; Sabour et al., 2017)
        "exponential":  v = (1 - exp(-|s|)) * s / |s|        (Efficient-CapsNet; Mazzia et al., 2021)

    The derivative is written out in `ops/activation/relu_squash.py` for the training step: change both together. Value
    and gradient are finite at s = 0 and up to lengths of 1e18, in every floating dtype, with and without XLA.

    Args:
        x: s; capsules lie along `axis`.
        axis: the axis of the capsule's components, or several axes that make up a capsule together.
        kind: "norm" or "exponential".
        epsilon: e in the released codes' ways to avoid a division by 0. With "norm", |s|^2 / (1 + |s|^2) * s /
            sqrt(|s|^2 + e), where released codes have e = 1e-7; None is sqrt(|s|^2 + 1e-12) / (1 + |s|^2) * s. With
            "exponential", (1 - 1 / (exp(|s|) + e)) * s / (|s| + e); None is e = 1e-20.

    Returns:
        v, tensor of the shape and dtype of `x` (integers and booleans become `floatx`).

    Raises:
        ValueError: `kind` is unknown, `axis` is no axis of `x`, or `epsilon` is negative or not finite.
        TypeError: `x` has no real numbers.

    Example:

    >>> import numpy as np
    >>> print(np.round(np.asarray(squash(np.array([[3.0, 4.0]]))), 4))
    [[0.5769 0.7692]]
    >>> print(np.round(np.asarray(squash(np.array([[3.0, 4.0]]), kind="exponential")), 4))
    [[0.596  0.7946]]
    """
    one_of("kind", kind, KINDS)
    if epsilon is not None:
        epsilon = finite_number("epsilon", epsilon, least=0)
    x = floating(x, "x")
    check_axes("axis", axis, x)
    wide = at_least_float32(x)
    squared = K.sum(wide * wide, axis=axis, keepdims=True)  # K.square has no 8-bit kernel in LiteRT
    if kind == "exponential":
        scale = _exponential_scale(squared, _EPSILON_EXPONENTIAL if epsilon is None else epsilon)
    elif epsilon is None:
        scale = K.sqrt(squared + EPSILON) / (1.0 + squared)
    else:
        scale = squared / (1.0 + squared) / K.sqrt(_positive(squared + epsilon))
    return K.cast(wide * scale, x.dtype)


def _exponential_scale(squared, epsilon):
    """Return the factor by which the exponential squash scales a vector of the given squared length.

    The factor of a zero vector is 0. With n the length, 1 - 1 / (exp(n) + e) is written in exp(-n), which does not
    overflow.
    """
    length = K.sqrt(_positive(squared))
    decay = epsilon * K.exp(-length)
    scale = (decay - K.expm1(-length)) / (1.0 + decay) / (length + epsilon)
    return K.where(squared > 0, scale, 0.0)


def _positive(x):
    """Replace all elements that are not positive by 1, so that the gradient of a square root stays finite."""
    return K.where(x > 0, x, 1.0)


def capsule_length(x, axis: int = -1, epsilon: float = EPSILON):
    """Return the Euclidean length of each capsule.

    It is read as the probability that the entity which the capsule represents is present.

    Args:
        x: tensor; capsules lie along `axis`.
        axis: the axis of the capsule's components; it disappears.
        epsilon: added to the squared length, so that the gradient at 0 is finite. Released codes of other capsule
            networks add 1e-7.

    Returns:
        Lengths, sqrt(|x|^2 + epsilon) along `axis`, in the dtype of `x` (`floatx` for integers).

    Example:

    >>> import numpy as np
    >>> print(np.asarray(capsule_length(np.array([[3.0, 4.0]]))))
    [5.]
    """
    x, epsilon = floating(x, "x"), finite_number("epsilon", epsilon, least=0)
    wide = at_least_float32(x)
    check_axes("axis", axis, x)
    squared = K.sum(wide * wide, axis=axis)
    return K.cast(K.sqrt(squared + epsilon), x.dtype)
