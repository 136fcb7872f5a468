"""Conversion of class labels to one-hot targets for losses on capsule lengths."""

import numpy as np
from keras import ops as K


def class_targets(y_true, lengths):
    """Convert integer or one-hot labels to one-hot targets of shape (batch, classes).

    Args:
        y_true: integer labels of shape (batch,) or (batch, 1), or one-hot (or soft) rows of shape (batch, classes).
        lengths: predictions, (batch, classes).

    Returns:
        (batch, classes), in the dtype of `lengths`.

    Raises:
        ValueError: the shapes fit neither form, or (eagerly, where values are known) a label is out of range.
    """
    y_true = K.convert_to_tensor(y_true)
    classes = lengths.shape[-1]
    shape = tuple(y_true.shape)
    if len(lengths.shape) != 2:
        raise ValueError(f"Expected capsule lengths of shape (batch, classes). Received: {tuple(lengths.shape)}.")
    if len(shape) == 2 and shape[1] == classes:
        return K.cast(y_true, lengths.dtype)
    if len(shape) != 1 and shape[1:] != (1,):
        raise ValueError(
            f"Expected integer labels of shape (batch,) or (batch, 1), or one-hot rows of shape (batch, {classes}). "
            f"Received: labels of shape {shape} for lengths of shape {tuple(lengths.shape)}."
        )
    labels = K.reshape(y_true, (-1,))
    _check_range(labels, classes)
    return K.one_hot(K.cast(labels, "int32"), classes, dtype=lengths.dtype)


def _check_range(labels, classes):
    """Raise ValueError unless all class labels are integers from 0 to `classes - 1`.

    Do nothing in a traced function.
    """
    try:
        values = np.asarray(K.convert_to_numpy(labels))
    except Exception:
        return  # Symbolic tensors have no values; the trainers check their data before the first step.
    invalid = (values < 0) | (values >= classes) | (values != np.floor(values))
    if invalid.any():
        index = int(np.argmax(invalid))
        raise ValueError(
            f"Labels must be integers from 0 to {classes - 1} for {classes} classes. "
            f"Received: {values[index]:g} at index {index} ({int(invalid.sum())} such labels)."
        )
