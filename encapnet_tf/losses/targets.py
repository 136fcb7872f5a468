"""Conversion of class labels to one-hot targets for losses on capsule lengths."""

import math

import numpy as np
from keras import ops as K

from encapnet_tf.ops.counts import with_equal_counts
from encapnet_tf.ops.precision import floating, numeric


def targets_and_lengths(y_true, y_pred):
    """Convert class labels to one-hot targets, and predicted capsule lengths to a floating-point tensor.

    Args:
        y_true: integer labels of shape (batch,) or (batch, 1), or one-hot (or soft) rows of shape (batch, classes).
            TensorFlow may not know their number of axes yet; see `has_known_rank`.
        y_pred: capsule lengths, (batch, classes).

    Returns:
        Targets and lengths, each (batch, classes), in the dtype of the lengths. In a traced function, where a label has
        no value yet that could raise, the targets of a label that is no class are NaN, and so is the loss.

    Raises:
        ValueError: the shapes fit neither form, the numbers of labels and predictions differ, or (eagerly, where values
            are known) a label is out of range.
    """
    y_true, lengths = numeric(y_true, "y_true"), floating(y_pred, "y_pred")
    if not has_known_rank(lengths) or len(lengths.shape) != 2:
        raise ValueError(f"Expected capsule lengths of shape (batch, classes). Received: {lengths.shape}.")
    classes = lengths.shape[-1]
    if not has_known_rank(y_true):
        return with_equal_counts(_targets_of_unknown_rank(y_true, lengths), lengths)
    shape = tuple(y_true.shape)
    is_one_hot = len(shape) == 2 and shape[1] == classes
    if not is_one_hot and len(shape) != 1 and shape[1:] != (1,):
        raise ValueError(
            f"Expected integer labels of shape (batch,) or (batch, 1), or one-hot rows of shape (batch, {classes}). "
            f"Received: labels of shape {shape} for lengths of shape {tuple(lengths.shape)}."
        )
    if None not in (shape[0], lengths.shape[0]) and shape[0] != lengths.shape[0]:
        raise ValueError(
            f"Expected a label for each row of lengths. Received: labels of shape {shape} for lengths of shape "
            f"{tuple(lengths.shape)}."
        )
    targets = (
        K.cast(y_true, lengths.dtype) if is_one_hot else _one_hot(K.reshape(y_true, (-1,)), classes, lengths.dtype)
    )
    return with_equal_counts(targets, lengths)


def has_known_rank(x) -> bool:
    """Return whether the rank (number of axes) of a tensor is statically known.

    TensorFlow does not know that of what a `tf.py_function` or a generator without shapes returns. Nor does it once one
    compiled model has seen labels (batch,) and labels (batch, 1): Keras then traces one function for both.
    """
    return getattr(x.shape, "rank", 0) is not None


def _targets_of_unknown_rank(y_true, lengths):
    """Convert integer or one-hot labels of unknown rank to one-hot targets.

    The rank is unknown when TensorFlow traces the graph. The kind of labels is then found at run time.
    """
    classes = lengths.shape[-1]
    rows = K.reshape(y_true, (K.shape(lengths)[0], -1))
    return K.cond(
        K.shape(rows)[1] == classes,
        lambda: K.cast(K.reshape(rows, (-1, classes)), lengths.dtype),
        lambda: _one_hot(K.reshape(rows, (-1,)), classes, lengths.dtype),
    )


def _one_hot(labels, classes, dtype):
    """Convert class labels to one-hot vectors, and invalid labels to vectors of NaN."""
    _check_range(labels, classes)
    indices = K.cast(labels, "int32")
    is_class = (indices >= 0) & (indices < classes) & (K.cast(indices, labels.dtype) == labels)  # no fraction, no NaN
    return K.where(is_class[:, None], K.one_hot(indices, classes, dtype=dtype), math.nan)


def _check_range(labels, classes):
    """Raise ValueError unless all class labels are integers from 0 to `classes - 1`.

    Do nothing in a traced function.
    """
    try:
        values = np.asarray(K.convert_to_numpy(labels))
    except Exception:
        return  # Symbolic tensors have no values.
    invalid = ~((values >= 0) & (values < classes) & (values == np.floor(values)))
    if invalid.any():
        index = int(np.argmax(invalid))
        raise ValueError(
            f"Labels must be integers from 0 to {classes - 1} for {classes} classes. "
            f"Received: {values[index]:g} at index {index} ({int(invalid.sum())} such labels)."
        )
