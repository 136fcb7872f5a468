"""Runtime check that two matrices have equally many rows.

It is for graphs with an unknown batch size.
"""

from keras import ops as K


def with_equal_counts(x, y):
    """Check at run time that two matrices have the same number of rows, and return both matrices.

    A graph for a batch of unknown size would broadcast one row to many. Joining columns of both does not broadcast, and
    unlike an assertion or a reshape it is neither dropped by XLA nor optimised away by TensorFlow. One column of each
    is joined, because joining whole matrices takes a measurable part of a Sinkhorn divergence's time.

    Args:
        x, y: (n, columns), (n, other columns), of a floating dtype.

    Returns:
        `x` and `y`.
    """
    if None not in (x.shape[0], y.shape[0]):
        return x, y  # callers have compared known numbers
    columns = K.concatenate([x[:, :1], y[:, :1]], axis=1)
    zero = K.floor(0.5 * K.max(K.cast(K.isnan(columns), x.dtype)))  # 0 always, but no optimiser knows it
    return x + zero, y
