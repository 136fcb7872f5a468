"""Matrices of transport costs between two point sets, or between all pairs of points in one set.

They are Q in Eqs. 7 to 9 of the paper. All functions also take a leading batch axis: many pairs of sets at once.
"""

import math

from keras import backend
from keras import ops as K

from encapnet_tf.arguments import one_of
from encapnet_tf.ops.positive_part import positive_part
from encapnet_tf.ops.precise_matmul import precise_matmul
from encapnet_tf.ops.precision import at_least_float32, floating_together

COSTS = ("cosine", "euclidean", "sqeuclidean")

# The Gram form |x|^2 + |y|^2 - 2 x.y has rounding errors of about this share of |x|^2 + |y|^2. Squared distances below
# it count as 0, so that a point's distance to its copy is exactly 0 and not the root of a rounding error.
_ROUNDING = {"float32": 2e-6, "float64": 4e-15}
_FEW_FEATURES = 8  # points of so few are often near each other, where the Gram form loses digits
_SMALLEST_NORM = 1e-8  # a shorter row has no direction


def pairwise_cost(x, y, cost="cosine"):
    """Compute the matrix of transport costs between the points of two sets.

    - "cosine": 1 - cos(x_i, y_j), in [0, 2]; a row of zeros (common after ReLU) costs 1 to everything, itself included,
    - "euclidean": |x_i - y_j|, with gradient 0 where the distance is 0,
    - "sqeuclidean": |x_i - y_j|^2.

    Euclidean distances are taken from the sets' joint mean, so a common offset does no harm. Works in at least float32.
    If an input is NaN or infinite, or so large that a squared length overflows (1e20 in float32), then every cost is
    NaN, and so is every gradient.

    Args:
        x: (n, features), of any dtype; (batch, n, features) for several pairs of sets.
        y: (m, features); (batch, m, features).
        cost: "cosine", "euclidean" or "sqeuclidean", or a function of `x` and `y` that returns the matrix. Costs of a
            function that are infinite become NaN.

    Returns:
        (n, m), or (batch, n, m); float32, or float64 for float64 input. Not negative for the named costs.

    Raises:
        ValueError: the cost is unknown or the shapes do not fit.

    Example:

    >>> import numpy as np
    >>> print(np.asarray(pairwise_cost(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 4.0]]), "euclidean")))
    [[5. 0.]]
    """
    x, y = prepare(x, y, cost)
    return cost_between(x, y, cost)


def self_cost(x, cost="cosine", both_sides: bool = False):
    """Compute the matrix of transport costs between all pairs of points in one set.

    Named costs are exactly 0 on the diagonal. The matrix is symmetric, so the gradient of a symmetric plan's cost is
    twice the gradient through one side.

    Args:
        x: (n, features), or (batch, n, features).
        cost: as in `pairwise_cost`. With the cosine, a row of zeros keeps its cost of 1 to itself.
        both_sides: whether the gradient flows through both sides, or through one with the other held fixed.

    Returns:
        (n, n), or (batch, n, n).
    """
    return cost_within(prepare(x, x, cost)[0], cost, both_sides)


def check_cost(cost):
    """Return a transport cost, or raise ValueError if it is neither the name of a cost nor a function."""
    return cost if callable(cost) else one_of("cost", cost, COSTS)


def prepare(x, y, cost):
    """Validate two point sets, and scale each point to length 1 if the transport cost is the cosine distance.

    Both are also cast to at least float32.

    Raises:
        ValueError: as `pairwise_cost`.
    """
    check_cost(cost)
    x, y = map(at_least_float32, floating_together(x, y))
    ranks_fit = len(x.shape) == len(y.shape) in (2, 3)
    if not ranks_fit or x.shape[-1] != y.shape[-1] or not _may_be_equal(x.shape[:-2], y.shape[:-2]):
        raise ValueError(
            "Costs are between two sets of points, (n, features) and (m, features), or between several pairs of sets, "
            f"(batch, n, features) and (batch, m, features). Received: shapes {tuple(x.shape)} and {tuple(y.shape)}."
        )
    return (_normalise(x), _normalise(y)) if cost == "cosine" else (x, y)


def _may_be_equal(shape, other):
    """Return whether two shapes match, where an unknown size matches any size."""
    return all(None in sizes or sizes[0] == sizes[1] for sizes in zip(shape, other, strict=True))


def _normalise(x):
    """Scale each row of a matrix to length 1, and leave zero rows unchanged.

    The gradient of a zero row is zero.
    """
    squared = _nan_unless_finite(K.sum(K.square(x), axis=-1, keepdims=True), axis=-2)
    is_zero = squared <= _SMALLEST_NORM**2
    return x * K.where(is_zero, 0.0, K.rsqrt(K.where(is_zero, 1.0, squared)))


def cost_between(x, y, cost, is_exact=True):
    """Compute the matrix of pairwise transport costs between two validated point sets.

    The sets are results of `prepare`, which validates the points, and scales them to length 1 for the cosine distance.

    Args:
        x, y, cost: as in `pairwise_cost`.
        is_exact: whether "euclidean" distances between points of few features are computed from the points'
            differences, which keeps the digits of small distances. The Gram form takes less time.
    """
    x, y = centre(x, y, cost)
    return centred_cost(x, y, cost, is_exact)


def centre(x, y, cost):
    """Subtract the joint mean of two sets of points from both, if the transport cost is a Euclidean distance."""
    if cost not in ("euclidean", "sqeuclidean"):
        return x, y
    means = K.mean(x, axis=-2, keepdims=True) + K.mean(y, axis=-2, keepdims=True)
    middle = K.stop_gradient(means / 2)
    return x - middle, y - middle


def centred_cost(x, y, cost, is_exact=True):
    """Compute the matrix of transport costs between two sets of points that `centre` has prepared.

    The sets may also be parts of those that `centre` returned.
    """
    if callable(cost):
        return _cost_of_function(x, y, cost)
    if cost == "cosine":
        return positive_part(1.0 - precise_matmul(x, _transpose(y)))
    squared = _squared_distances(x, y, is_exact and cost == "euclidean")
    return squared if cost == "sqeuclidean" else _sqrt_with_finite_gradient(squared)


def cost_within(x, cost, both_sides=False, is_exact=True):
    """Compute the matrix of transport costs between the points of one set.

    The points are preprocessed by `prepare`. Arguments are as in `self_cost` and `cost_between`.
    """
    matrix = cost_between(x, x if both_sides else K.stop_gradient(x), cost, is_exact)
    if callable(cost):
        return matrix
    mask = 1.0 - K.eye(K.shape(x)[-2], dtype=matrix.dtype)
    if cost == "cosine":
        is_zero = K.logical_not(K.any(x, axis=-1, keepdims=True))
        mask = K.maximum(mask, K.cast(is_zero, matrix.dtype))
    return matrix * mask


def _cost_of_function(x, y, cost):
    """Call a cost function, check the shape of its result, and replace infinite costs by NaN."""
    matrix = K.cast(K.convert_to_tensor(cost(x, y)), x.dtype)
    expected = (*x.shape[:-1], y.shape[-2])
    if len(matrix.shape) != len(expected) or not _may_be_equal(matrix.shape, expected):
        raise ValueError(
            f"The cost function must return the costs of all pairs of points, of shape {expected}, for points of "
            f"shapes {tuple(x.shape)} and {tuple(y.shape)}. It returned shape {tuple(matrix.shape)}. Written with "
            "x[..., :, None, :] and y[..., None, :, :], a function serves single pairs of sets and batches of them."
        )
    return _with_nan(matrix, K.logical_not(K.isfinite(matrix)))


def _with_nan(values, is_nan):
    """Set the elements of a tensor and their gradients to NaN where a mask is true.

    NaN is added to them.
    """
    return values + K.cast(K.where(is_nan, math.nan, 0.0), values.dtype)


def _transpose(x):
    return K.transpose(x) if len(x.shape) == 2 else K.transpose(x, (0, 2, 1))


def _squared_distances(x, y, from_differences):
    norms_x, norms_y = (_nan_unless_finite(K.sum(K.square(points), axis=-1), axis=-1) for points in (x, y))
    norms = norms_x[..., :, None] + norms_y[..., None, :]
    if from_differences and x.shape[-1] is not None and x.shape[-1] <= _FEW_FEATURES:
        differences = [x[..., :, None, k] - y[..., None, :, k] for k in range(x.shape[-1])]
        return _with_nan(sum(map(K.square, differences)), K.isnan(norms))
    squared = norms - 2.0 * precise_matmul(x, _transpose(y))
    rounding = _ROUNDING[backend.standardize_dtype(x.dtype)]
    return K.where(squared <= rounding * norms, 0.0, squared)  # NaN is not below, and stays


def gradient_of_points(slopes, costs, x, y, cost):
    """Compute the gradient of a weighted sum of transport costs with respect to the points of the first set.

    Args:
        slopes: weights of the costs, (..., n, m).
        costs: `centred_cost(x, y, cost)`. Costs of 0 have gradient 0.
        x, y: the points, (..., n, features) and (..., m, features), as `centre` returns them.
        cost: "cosine", "euclidean" or "sqeuclidean".

    Returns:
        Gradient with respect to x, (..., n, features).
    """
    is_zero = costs <= 0
    slopes = K.where(is_zero, 0.0, slopes)
    if cost == "cosine":
        return -precise_matmul(slopes, y)
    slopes = 2.0 * slopes if cost == "sqeuclidean" else slopes / K.where(is_zero, 1.0, costs)
    return K.sum(slopes, axis=-1, keepdims=True) * x - precise_matmul(slopes, y)


def _sqrt_with_finite_gradient(x):
    """Compute a square root whose gradient at 0 is 0 instead of infinite."""
    is_zero = x <= 0
    return K.where(is_zero, 0.0, K.sqrt(K.where(is_zero, 1.0, x)))


def _nan_unless_finite(squared_lengths, axis):
    """Set the squared norms of all points in a set to NaN if any of the norms is NaN or infinite.

    The points lie along `axis`.

    A length that overflowed would otherwise disappear: its reciprocal is 0, and it makes every other distance less than
    its rounding error. With NaN for the whole set, every cost and every gradient is NaN.
    """
    is_finite = K.all(K.isfinite(squared_lengths), axis=axis, keepdims=True)
    return K.where(is_finite, squared_lengths, math.nan)
