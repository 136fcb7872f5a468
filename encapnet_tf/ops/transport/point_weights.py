"""Validation of the weights of points, where a weight of 0 marks an absent point."""

import math

import numpy as np
from keras import ops as K

from encapnet_tf.ops.precision import cast_numbers

_TOLERANCE = 1e-2  # of the sum: half-precision weights are rounded to 4e-3 of themselves


def point_weights(name: str, weights, points, axis: int = -2):
    """Validate the weights of points in one or several sets, or return equal weights if the argument is None.

    The weights of a set sum to 1. No gradient flows through them.

    Args:
        name: the argument's name, for the error.
        weights: (n,), or (batch, n) for one set of weights for each problem, or None.
        points: (batch, n, features), or a matrix of costs; in the dtype that the weights are cast to.
        axis: axis of `points` along which the points lie.

    Returns:
        (batch or 1, n). Where values are not known yet, in a traced function, weights that are no distribution become
        NaN.

    Raises:
        ValueError: the shape does not fit, or (eagerly) weights are negative, not finite, or do not sum to 1.
    """
    size = points.shape[axis]
    if weights is None:
        count = K.shape(points)[axis]
        return K.ones((1, count), points.dtype) / K.cast(count, points.dtype)
    weights = K.stop_gradient(cast_numbers(weights, points.dtype, name))
    batch = points.shape[0]
    shapes = [(size,), (1, size), (batch, size)]
    if not any(_fits(tuple(weights.shape), shape) for shape in shapes):
        raise ValueError(
            f"{name} must hold a weight for each of the {size} points, of shape ({size},), or ({batch}, {size}) with "
            f"weights of their own for each of {batch} problems. Received: shape {tuple(weights.shape)}."
        )
    weights = weights if len(weights.shape) == 2 else weights[None]
    _check_values(name, weights)
    total = K.sum(weights, axis=-1, keepdims=True)
    is_distribution = K.all(weights >= 0, axis=-1, keepdims=True) & (K.abs(total - 1.0) <= _TOLERANCE)
    return K.where(is_distribution, weights / total, math.nan)


def _fits(shape, expected) -> bool:
    """Return whether a shape matches the expected shape, where an unknown size matches any size."""
    sizes = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(None in pair or pair[0] == pair[1] for pair in sizes)


def _check_values(name, weights):
    """Raise ValueError if the weights of a point set are negative or do not sum to 1.

    Do nothing in a traced function.
    """
    try:
        values = np.asarray(K.convert_to_numpy(weights))
    except Exception:
        return  # Symbolic tensors have no values.
    sums = values.sum(axis=-1)
    if not (values >= 0).all() or not (np.abs(sums - 1) <= _TOLERANCE).all():
        raise ValueError(
            f"{name} must be at least 0 and sum to 1 for each set of points; divide them by their sum. "
            f"Received: weights from {values.min():g} to {values.max():g}, which sum to "
            f"{', '.join(f'{total:g}' for total in sums[:5])}."
        )


def replace_absent(points, weights, axis: int = -2):
    """Replace points of weight 0, which count as absent, by the point of largest weight in the same set.

    Such a point then has no influence: its coordinates may be anything, even NaN, and take no gradient.

    Args:
        points: (batch, n, features); or costs (batch, n, m), whose absent rows or columns are replaced.
        weights: (batch or 1, n), as `point_weights` returns them.
        axis: axis of `points` along which the points lie, -2 or -1.
    """
    present = K.expand_dims(K.argmax(weights, axis=-1), (1, 2))
    replacement = K.stop_gradient(K.take_along_axis(points, present, axis=axis))
    is_present = K.expand_dims(weights > 0, -1 if axis == -2 else -2)
    return K.where(is_present, points, replacement)
