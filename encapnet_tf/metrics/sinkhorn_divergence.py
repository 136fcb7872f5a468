"""Keras metric that computes the Sinkhorn divergence between targets and predictions."""

import keras
from keras import ops as K

from encapnet_tf.losses import SinkhornLoss


@keras.saving.register_keras_serializable("encapnet_tf")
class SinkhornDivergence(keras.metrics.Mean):
    """Keras metric that averages the Sinkhorn divergences between targets and predictions.

    With `sample_axis=0` the samples of a batch are the points of a set, and the metric is the mean over batches,
    weighted by their sizes, as Keras averages a loss. It then depends on the batch size: divergences between fewer
    points are larger. With `sample_axis=1` each sample is a point set, and the metric is the mean over samples.

    Args:
        epsilon, iterations, cost, debias, differentiate_plan, value, solver, relative_epsilon, sample_axis, block_size:
            arguments of `losses.SinkhornLoss`.
        name, dtype: arguments of `keras.metrics.Mean`.

    Call arguments:
        y_true, y_pred, sample_weight: as in `losses.SinkhornLoss`. In the mean, a divergence counts by the weight of
            its sample (`sample_axis=1`) or by the sum of the weights of its batch (`sample_axis=0`).

    Raises:
        ValueError: as `losses.SinkhornLoss`.

    Example:

    >>> import numpy as np
    >>> metric = SinkhornDivergence(epsilon=0.01, cost="sqeuclidean", sample_axis=1)
    >>> sets = np.array([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [2.0, 0.0]]], "float32")
    >>> metric.update_state(sets, sets + [0.0, 1.0])
    >>> round(float(metric.result()), 3)
    2.0
    """

    def __init__(
        self,
        epsilon=1.0,
        iterations=10,
        cost="cosine",
        debias=True,
        differentiate_plan=False,
        value="sharp",
        solver="fast",
        relative_epsilon=False,
        name="sinkhorn_divergence",
        dtype=None,
        *,
        sample_axis=0,
        block_size=None,
    ):
        super().__init__(name=name, dtype=dtype)
        self._loss = SinkhornLoss(
            epsilon,
            iterations,
            cost,
            debias,
            differentiate_plan,
            value,
            solver,
            relative_epsilon,
            sample_axis=sample_axis,
            block_size=block_size,
            reduction=None,
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self._loss.sample_axis == 1:
            weights = None if sample_weight is None else K.convert_to_tensor(sample_weight)
            if weights is None or (len(weights.shape) > 1 and weights.shape[-1] != 1):
                return super().update_state(self._loss(y_true, y_pred, weights))
            return super().update_state(self._loss(y_true, y_pred), K.reshape(weights, (-1,)))
        divergence = self._loss(y_true, y_pred, sample_weight)
        weight = K.shape(y_pred)[0] if sample_weight is None else K.sum(sample_weight)
        return super().update_state(divergence, K.cast(weight, divergence.dtype))

    def get_config(self):
        config = {name: value for name, value in self._loss.get_config().items() if name != "reduction"}
        return {**config, **super().get_config()}

    @classmethod
    def from_config(cls, config):
        if isinstance(config.get("cost"), dict):
            config = {**config, "cost": keras.saving.deserialize_keras_object(config["cost"])}
        return cls(**config)
