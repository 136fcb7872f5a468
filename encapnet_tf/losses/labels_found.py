"""Exact-match accuracy metric for images with several labels.

An image is correct only if all its labels are found.
"""

import math

import keras
from keras import ops as K


@keras.saving.register_keras_serializable("encapnet_tf")
class LabelsFound(keras.metrics.MeanMetricWrapper):
    """Keras metric for the share of images whose true classes all score higher than every other class.

    A tie counts as a mistake.

    Args:
        name: name of the metric in the logs.
        dtype: dtype of the mean.

    Example:

    >>> import numpy as np
    >>> metric = LabelsFound()
    >>> scores = np.array([[0.9, 0.1, 0.8], [0.9, 0.8, 0.1]], "float32")
    >>> metric.update_state(np.array([[1, 0, 1], [1, 0, 1]], "float32"), scores)
    >>> float(metric.result())  # the two highest scores are the labels of the first image only
    0.5
    """

    def __init__(self, name="labels_found", dtype=None):
        super().__init__(labels_found, name=name, dtype=dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


def labels_found(y_true, y_pred):
    """Return 1 for each image whose labels all score higher than every other class, and 0 for the other images.

    Args:
        y_true: (batch, classes), 1 for the labels and 0 elsewhere.
        y_pred: (batch, classes) scores.

    Returns:
        (batch,), in the dtype of the scores.
    """
    y_pred = K.convert_to_tensor(y_pred)
    is_label = K.cast(y_true, y_pred.dtype) > 0.5
    lowest_label = K.min(K.where(is_label, y_pred, math.inf), axis=-1)
    highest_other = K.max(K.where(is_label, -math.inf, y_pred), axis=-1)
    return K.cast(lowest_label > highest_other, y_pred.dtype)
