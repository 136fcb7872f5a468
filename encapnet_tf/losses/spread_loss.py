"""Spread loss, a classification loss for capsule networks with EM routing."""

import keras
from keras import ops as K

from encapnet_tf.arguments import finite_number
from encapnet_tf.losses.targets import targets_and_lengths
from encapnet_tf.ops.positive_part import positive_part


@keras.saving.register_keras_serializable("encapnet_tf")
class SpreadLoss(keras.losses.Loss):
    """Spread loss, which makes the true class's score exceed every other class's score by a margin.

        loss = sum over the other classes i of    max(0, margin - (a_t - a_i))^2

    a_t is the length of the true class's capsule, a_i that of class i. The mean is taken over the batch. The callback
    `callbacks.SpreadMarginSchedule` raises the margin during training.

    Args:
        margin: least distance from the true class's length without loss, in (0, 1].
        reduction, name, dtype: arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: integer labels (batch,) or (batch, 1), or one-hot rows (batch, classes). With a single
            class, (batch, 1) is one-hot.
        y_pred: capsule lengths, (batch, classes).

    Raises:
        ValueError: the margin is out of range, the shapes do not fit, or (eagerly) a label is out of range. In a
            compiled step such a label makes the loss NaN.

    Example:

    >>> round(float(SpreadLoss(margin=0.5)([1], [[0.4, 0.7]])), 4)  # (0.5 - 0.3)^2
    0.04
    """

    def __init__(self, margin=0.9, reduction="sum_over_batch_size", name="spread_loss", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        # A variable, so that a compiled training step reads the value that a callback sets.
        self._margin = keras.Variable(checked_margin("margin", margin), trainable=False, dtype="float32", name="margin")

    @property
    def margin(self) -> float:
        """Current margin of the spread loss.

        Settable, also while a compiled model trains.
        """
        return float(K.convert_to_numpy(self._margin))

    @margin.setter
    def margin(self, value):
        self._margin.assign(checked_margin("margin", value))

    def call(self, y_true, y_pred):
        targets, lengths = targets_and_lengths(y_true, y_pred)
        true_length = K.sum(targets * lengths, axis=-1, keepdims=True)
        hinge = positive_part(K.cast(self._margin, lengths.dtype) - (true_length - lengths))
        return K.sum((1.0 - targets) * K.square(hinge), axis=-1)

    def get_config(self):
        return {**super().get_config(), "margin": float(f"{self.margin:.7g}")}


def checked_margin(name: str, value) -> float:
    """Return the margin of a spread loss as a float, or raise ValueError unless it is in (0, 1].

    Args:
        name: the argument's name, for the error.
        value: the margin.
    """
    margin = finite_number(name, value)
    if not 0 < margin <= 1:
        raise ValueError(f"{name} must be a margin in (0, 1]. Received: {name}={value!r}.")
    return margin
