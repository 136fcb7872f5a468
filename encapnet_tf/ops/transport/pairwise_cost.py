"""Matrices of transport costs between two point sets, or between all pairs of points in one set.

They are Q in Eqs. 7 to 9 of the paper.
"""

import math

from keras import backend
from keras import ops as K

from encapnet_tf.arguments import one_of
from encapnet_tf.ops.positive_part import positive_part
from encapnet_tf.ops.precision import at_least_float32, floating_together

COSTS = ("cosine", "euclidean", "sqeuclidean")

# The Gram form |x|^2 + |y|^2 - 2 x.y has rounding errors of about this share of |x|^2 + |y|^2. Squared distances below
# it count as 0, so that a point's distance to its copy is exactly 0 and not the root of a rounding error.
_ROUNDING = {"float32": 2e-6, "float64": 4e-15}
_SMALLEST_NORM = 1e-8  # a shorter row has no direction


def pairwise_cost(x, y, cost: str = "cosine"):
    """Return the matrix of costs of moving each point of one set to each point of another set.

    - "cosine": 1 - cos(x_i, y_j), in [0, 2]; a row of zeros (common after ReLU) costs 1 to everything, itself included,
    - "euclidean": |x_i - y_j|, with gradient 0 where the distance is 0,
    - "sqeuclidean": |x_i - y_j|^2.

    Euclidean distances are taken from the sets' joint mean, so a common offset does no harm. Works in at least float32.
    If an input is NaN or infinite, or so large that a squared length overflows (1e20 in float32), then every cost is
    NaN, and so is every gradient.

    Args:
        x: (n, features), of any dtype.
        y: (m, features).
        cost: "cosine", "euclidean" or "sqeuclidean".

    Returns:
        (n, m), not negative; float32, or float64 for float64 input.

    Raises:
        ValueError: the cost is unknown or the shapes do not fit.

    Example:

    >>> import numpy as np
    >>> print(np.asarray(pairwise_cost(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 4.0]]), "euclidean")))
    [[5. 0.]]
    """
    x, y = prepare(x, y, cost)
    return cost_between(x, y, cost)


def self_cost(x, cost: str = "cosine", both_sides: bool = False):
    """Compute the matrix of transport costs between all pairs of points in one set.

    They are exactly 0 on the diagonal. The matrix is symmetric, so the gradient of a symmetric plan's cost is twice the
    gradient through one side.

    Args:
        x: (n, features).
        cost: as in `pairwise_cost`. With the cosine, a row of zeros keeps its cost of 1 to itself.
        both_sides: whether the gradient flows through both sides, or through one with the other held fixed.

    Returns:
        (n, n).
    """
    return cost_within(prepare(x, x, cost)[0], cost, both_sides)


def prepare(x, y, cost):
    """Validate two point sets, and scale each point to length 1 if the transport cost is the cosine distance.

    Both are also cast to at least float32.

    Raises:
        ValueError: as `pairwise_cost`.
    """
    one_of("cost", cost, COSTS)
    x, y = map(at_least_float32, floating_together(x, y))
    if len(x.shape) != 2 or len(y.shape) != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(
            "Costs are between two sets of points, (n, features) and (m, features). "
            f"Received: shapes {tuple(x.shape)} and {tuple(y.shape)}."
        )
    return (_normalise(x), _normalise(y)) if cost == "cosine" else (x, y)


def _normalise(x):
    """Scale each row of a matrix to length 1, and leave zero rows unchanged.

    The gradient of a zero row is zero.
    """
    squared = _nan_unless_finite(K.sum(K.square(x), axis=1, keepdims=True))
    is_zero = squared <= _SMALLEST_NORM**2
    return x * K.where(is_zero, 0.0, K.rsqrt(K.where(is_zero, 1.0, squared)))


def cost_between(x, y, cost):
    """Compute the matrix of pairwise transport costs between two validated point sets.

    The sets are results of `prepare`, which validates the points, and scales them to length 1 for the cosine distance.
    """
    if cost == "cosine":
        return positive_part(1.0 - K.matmul(x, K.transpose(y)))
    squared = _squared_distances(x, y)
    return squared if cost == "sqeuclidean" else _sqrt_with_finite_gradient(squared)


def cost_within(x, cost, both_sides=False):
    """Compute the matrix of transport costs between the points of one set.

    The points are preprocessed by `prepare`.
    """
    matrix = cost_between(x, x if both_sides else K.stop_gradient(x), cost)
    mask = 1.0 - K.eye(K.shape(x)[0], dtype=matrix.dtype)
    if cost == "cosine":
        is_zero = K.logical_not(K.any(x, axis=1, keepdims=True))
        mask = K.maximum(mask, K.cast(is_zero, matrix.dtype))
    return matrix * mask


def _squared_distances(x, y):
    centre = K.stop_gradient((K.mean(x, axis=0) + K.mean(y, axis=0)) / 2)
    x, y = x - centre, y - centre
    norms_x, norms_y = (_nan_unless_finite(K.sum(K.square(points), axis=1)) for points in (x, y))
    norms = norms_x[:, None] + norms_y[None, :]
    squared = norms - 2.0 * K.matmul(x, K.transpose(y))
    rounding = _ROUNDING[backend.standardize_dtype(x.dtype)]
    return K.where(squared <= rounding * norms, 0.0, squared)  # NaN is not below, and stays


def _sqrt_with_finite_gradient(x):
    """Compute a square root whose gradient at 0 is 0 instead of infinite."""
    is_zero = x <= 0
    return K.where(is_zero, 0.0, K.sqrt(K.where(is_zero, 1.0, x)))


def _nan_unless_finite(squared_lengths):
    """Set the squared norms of all points in a set to NaN if any of the norms is NaN or infinite.

    A length that overflowed would otherwise disappear: its reciprocal is 0, and it makes every other distance less than
    its rounding error. With NaN for the whole set, every cost and every gradient is NaN.
    """
    return K.where(K.all(K.isfinite(squared_lengths)), squared_lengths, math.nan)
