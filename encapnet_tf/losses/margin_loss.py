"""Margin loss, the classification loss of capsule networks."""

import keras
from keras import ops as K

from encapnet_tf.arguments import finite_number
from encapnet_tf.losses.targets import targets_and_lengths
from encapnet_tf.ops.positive_part import positive_part


@keras.saving.register_keras_serializable("encapnet_tf")
class MarginLoss(keras.losses.Loss):
    """Margin loss on capsule lengths, for classification with capsule networks.

    The paper calls it L_margin.

        loss = sum over classes of    T * max(0, m+ - |v|)^2 + down_weight * (1 - T) * max(0, |v| - m-)^2

    T is 1 for the true class and 0 for the others, |v| the length of a class's capsule. The mean is taken over the
    batch.

    Args:
        positive_margin: m+, the least length of the true class's capsule without loss.
        negative_margin: m-, the greatest length of the other capsules without loss.
        down_weight: weight of the other classes' terms.
        reduction, name, dtype: arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: integer labels (batch,) or (batch, 1), or one-hot (or soft) rows (batch, classes). With a
            single class, (batch, 1) is one-hot.
        y_pred: capsule lengths, (batch, classes).

    Raises:
        ValueError: a margin or the weight is not finite, the margins are out of order, the weight is negative, the
            shapes do not fit, or (eagerly) a label is out of range. In a compiled step such a label makes the loss NaN.

    Example:

    >>> round(float(MarginLoss()([1], [[0.4, 0.7]])), 4)  # 0.5 * 0.3^2 + 0.2^2
    0.085
    """

    def __init__(
        self,
        positive_margin=0.9,
        negative_margin=0.1,
        down_weight=0.5,
        reduction="sum_over_batch_size",
        name="margin_loss",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.positive_margin = finite_number("positive_margin", positive_margin)
        self.negative_margin = finite_number("negative_margin", negative_margin)
        if self.negative_margin > self.positive_margin:
            raise ValueError(
                "negative_margin must not exceed positive_margin. Received: "
                f"positive_margin={positive_margin!r}, negative_margin={negative_margin!r}."
            )
        self.down_weight = finite_number("down_weight", down_weight, least=0)

    def call(self, y_true, y_pred):
        targets, lengths = targets_and_lengths(y_true, y_pred)
        present = targets * K.square(positive_part(self.positive_margin - lengths))
        absent = (1.0 - targets) * K.square(positive_part(lengths - self.negative_margin))
        return K.sum(present + self.down_weight * absent, axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "positive_margin": self.positive_margin,
            "negative_margin": self.negative_margin,
            "down_weight": self.down_weight,
        }
