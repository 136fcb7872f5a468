"""Check of the numbers of rows of two tensors, where they are known only when a graph runs."""

from keras import ops as K


def with_equal_counts(x, y):
    """Return two matrices unchanged, and fail if they differ in the number of rows.

    A graph for a batch of unknown size would broadcast one row to many. Joining the columns of both does not broadcast,
    and unlike an assertion or a reshape it is neither dropped by XLA nor optimised away by TensorFlow.

    Args:
        x, y: (n, columns), (n, other columns).

    Returns:
        `x` and `y`.
    """
    columns = x.shape[1]
    if None not in (x.shape[0], y.shape[0]) or columns is None:
        return x, y  # callers have compared known numbers
    both = K.concatenate([x, y], axis=1)
    return both[:, :columns], both[:, columns:]
