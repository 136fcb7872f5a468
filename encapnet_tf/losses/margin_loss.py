"""Margin loss, the classification loss of capsule networks."""

import keras
from keras import ops as K

from encapnet_tf.losses.targets import class_targets


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
        ValueError: the shapes do not fit, or (eagerly) a label is out of range.

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
        self.positive_margin = float(positive_margin)
        self.negative_margin = float(negative_margin)
        self.down_weight = float(down_weight)

    def call(self, y_true, y_pred):
        y_pred = K.convert_to_tensor(y_pred)
        targets = class_targets(y_true, y_pred)
        present = targets * K.square(K.relu(self.positive_margin - y_pred))
        absent = (1.0 - targets) * K.square(K.relu(y_pred - self.negative_margin))
        return K.sum(present + self.down_weight * absent, axis=-1)

    def get_config(self):
        return {
            **super().get_config(),
            "positive_margin": self.positive_margin,
            "negative_margin": self.negative_margin,
            "down_weight": self.down_weight,
        }
