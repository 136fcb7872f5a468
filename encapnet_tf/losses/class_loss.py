"""Metric that logs the classification loss without regularisation terms."""

import keras


@keras.saving.register_keras_serializable("encapnet_tf")
class ClassLoss(keras.metrics.MeanMetricWrapper):
    """Metric that averages the classification loss without regularisation terms.

    The terms of feedback agreement units are among those left out.

    Args:
        loss: a Keras loss of labels and capsule lengths.
        name: name of the metric in the logs.
        dtype: dtype of the mean.

    Example:

    >>> import encapnet_tf as en, numpy as np
    >>> metric = ClassLoss(en.losses.MarginLoss())
    >>> metric.update_state(np.array([0]), np.array([[0.9, 0.1]], "float32"))
    >>> float(metric.result())
    0.0
    """

    def __init__(self, loss, name="class_loss", dtype=None):
        super().__init__(loss.call, name=name, dtype=dtype)
        self.loss = loss

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, "loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})
