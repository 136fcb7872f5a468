"""Cross-entropy loss for images with several labels, which share the probability equally."""

import keras
from keras import ops as K


@keras.saving.register_keras_serializable("encapnet_tf")
class MultiLabelCrossentropy(keras.losses.CategoricalCrossentropy):
    """Cross-entropy loss of images with several labels, for networks whose scores are probabilities.

    With n labels, each has the target 1 / n. Keras's loss expects targets that sum to 1. From others, TensorFlow
    computes a wrong gradient.

    Args:
        **kwargs: arguments of `keras.losses.CategoricalCrossentropy`.

    Call arguments:
        y_true: (batch, classes), 1 for the labels and 0 elsewhere.
        y_pred: (batch, classes) probabilities.

    Example:

    >>> import numpy as np
    >>> loss = MultiLabelCrossentropy()
    >>> round(float(loss(np.array([[1.0, 0.0, 1.0]]), np.array([[0.5, 0.0, 0.5]]))), 4)  # log 2, the least
    0.6931
    """

    def call(self, y_true, y_pred):
        y_pred = K.convert_to_tensor(y_pred)
        y_true = K.cast(y_true, y_pred.dtype)
        return super().call(y_true / K.sum(y_true, axis=-1, keepdims=True), y_pred)
