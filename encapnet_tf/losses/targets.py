"""Class targets for losses on capsule lengths: integer labels or one-hot rows."""

import numpy as np
from keras import ops


def class_targets(y_true, lengths):
    """Makes one-hot targets of whatever labels came in.

    Args:
        y_true: integer labels of shape (batch,) or (batch, 1), or one-hot (or soft) rows of shape (batch, classes).
        lengths: predictions, (batch, classes).

    Returns:
        (batch, classes), in the dtype of `lengths`.

    Raises:
        ValueError: the shapes fit neither form, or, where values are at hand (eagerly), a label is out of range.
    """
    y_true = ops.convert_to_tensor(y_true)
    classes = lengths.shape[-1]
    shape = tuple(y_true.shape)
    if len(lengths.shape) != 2:
        raise ValueError(f"Expected capsule lengths of shape (batch, classes). Received: {tuple(lengths.shape)}.")
    if len(shape) == 2 and shape[1] == classes:
        return ops.cast(y_true, lengths.dtype)
    if len(shape) != 1 and shape[1:] != (1,):
        raise ValueError(
            f"Expected integer labels of shape (batch,) or (batch, 1), or one-hot rows of shape (batch, {classes}). "
            f"Received: labels of shape {shape} for lengths of shape {tuple(lengths.shape)}."
        )
    labels = ops.reshape(y_true, (-1,))
    _check_range(labels, classes)
    return ops.one_hot(ops.cast(labels, "int32"), classes, dtype=lengths.dtype)


def _check_range(labels, classes):
    try:
        values = np.asarray(ops.convert_to_numpy(labels))
    except Exception:
        return  # Inside a compiled step there are no values to look at; the trainers check their data before that.
    wrong = (values < 0) | (values >= classes) | (values != np.floor(values))
    if wrong.any():
        index = int(np.argmax(wrong))
        raise ValueError(
            f"Labels must be integers from 0 to {classes - 1} for {classes} classes. "
            f"Received: {values[index]:g} at index {index} ({int(wrong.sum())} such labels)."
        )
