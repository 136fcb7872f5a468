"""Ground costs between two sets of points: Q of Eqs. 7 to 9, and its value between a set and itself."""

import keras
from keras import ops

from encapnet_tf.arguments import one_of
from encapnet_tf.ops.precision import at_least_float32

COSTS = ("cosine", "euclidean", "sqeuclidean")

# |x|^2 + |y|^2 - 2xy cannot tell squared distances below this share of |x|^2 + |y|^2 from 0 (a few rounding errors), so
# they are 0: a point's distance to its copy is exactly 0, not the square root of a rounding error.
_ROUNDING = {"float32": 2e-6, "float64": 4e-15}
_SMALLEST_NORM = 1e-8  # a row shorter than this has no direction


def pairwise_cost(x, y, cost: str = "cosine"):
    """Cost of moving each point of one set to each point of another.

    - "cosine": 1 - cos(x_i, y_j), in [0, 2]; a row of zeros (common after ReLU) costs 1 to everything, itself included,
    - "euclidean": |x_i - y_j|, with gradient 0 where the distance is 0,
    - "sqeuclidean": |x_i - y_j|^2.

    Euclidean distances are taken from the sets' joint mean, so a common offset does no harm. Works in at least float32.

    Args:
        x: (n, features).
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
    x, y = prepared(x, y, cost)
    return between(x, y, cost)


def self_cost(x, cost: str = "cosine", both_sides: bool = False):
    """Cost between a set and itself, exactly 0 on the diagonal.

    The matrix is symmetric, so a symmetric plan's gradient is twice that through one side; the other is held fixed.

    Args:
        x: (n, features).
        cost: as in `pairwise_cost`. With the cosine, a row of zeros keeps its cost of 1 to itself.
        both_sides: whether the gradient flows through both sides.

    Returns:
        (n, n).
    """
    return within(prepared(x, x, cost)[0], cost, both_sides)


def prepared(x, y, cost):
    """What a cost looks at, of two sets: with the cosine the points' directions; in at least float32.

    Raises:
        ValueError: as `pairwise_cost`.
    """
    one_of("cost", cost, COSTS)
    x, y = at_least_float32(x), at_least_float32(y)
    if len(x.shape) != 2 or len(y.shape) != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(
            "Costs are between two sets of points, (n, features) and (m, features). "
            f"Received: shapes {tuple(x.shape)} and {tuple(y.shape)}."
        )
    return (_direction(x), _direction(y)) if cost == "cosine" else (x, y)


def _direction(x):
    """Rows of length 1; rows of zeros stay, with gradient 0."""
    squared = ops.sum(ops.square(x), axis=1, keepdims=True)
    zero = squared <= _SMALLEST_NORM**2
    return x * ops.where(zero, 0.0, ops.rsqrt(ops.where(zero, 1.0, squared)))


def between(x, y, cost):
    """`pairwise_cost` of `prepared` points."""
    if cost == "cosine":
        return ops.relu(1.0 - ops.matmul(x, ops.transpose(y)))
    squared = _squared_distances(x, y)
    return squared if cost == "sqeuclidean" else _finite_sqrt(squared)


def within(x, cost, both_sides=False):
    """`self_cost` of `prepared` points."""
    matrix = between(x, x if both_sides else ops.stop_gradient(x), cost)
    off_diagonal = 1.0 - ops.eye(ops.shape(x)[0], dtype=matrix.dtype)
    if cost == "cosine":
        zero = ops.logical_not(ops.any(x, axis=1, keepdims=True))
        off_diagonal = ops.maximum(off_diagonal, ops.cast(zero, matrix.dtype))
    return matrix * off_diagonal


def _squared_distances(x, y):
    centre = ops.stop_gradient((ops.mean(x, axis=0) + ops.mean(y, axis=0)) / 2)
    x, y = x - centre, y - centre
    norms = ops.sum(ops.square(x), axis=1)[:, None] + ops.sum(ops.square(y), axis=1)[None, :]
    squared = norms - 2.0 * ops.matmul(x, ops.transpose(y))
    rounding = _ROUNDING[keras.backend.standardize_dtype(x.dtype)]
    return ops.where(squared > rounding * norms, squared, 0.0)


def _finite_sqrt(x):
    positive = x > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, x, 1.0)), 0.0)
