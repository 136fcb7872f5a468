"""Runtime check that two tensors have the same number of rows, for graphs with an unknown batch size."""

from keras import ops as K


def with_equal_counts(x, y):
    """Return two matrices unchanged, but fail at run time if their numbers of rows differ.

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
