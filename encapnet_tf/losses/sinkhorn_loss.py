"""Keras loss that computes the Sinkhorn divergence between targets and predictions."""

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import one_of
from encapnet_tf.losses.targets import has_known_rank
from encapnet_tf.ops.transport.pairwise_cost import COSTS
from encapnet_tf.ops.transport.sinkhorn import check_arguments
from encapnet_tf.ops.transport.sinkhorn_divergence import VALUES


@keras.saving.register_keras_serializable("encapnet_tf")
class SinkhornLoss(keras.losses.Loss):
    """Sinkhorn divergence between a batch of targets and a batch of predictions, both treated as point sets.

        loss = 2 W(y_pred, y_true) - W(y_pred, y_pred) - W(y_true, y_true)        (Eq. 11 of the paper)

    It compares the two sets as a whole: the order of the targets does not matter.

    Args:
        epsilon, iterations, cost, debias, differentiate_plan, value, solver, relative_epsilon: arguments of
            `ops.sinkhorn_divergence`.
        name, dtype: arguments of `keras.losses.Loss`.

    Call arguments:
        y_true: (batch, ...), flattened to (batch, features).
        y_pred: tensor of the shape of `y_true`. One of the two may lack the other's last axis if that has size 1, so
            that targets (batch,) fit the output of `Dense(1)`.

    Raises:
        ValueError: the shapes differ, a choice is unknown, or sample weights are passed, which a divergence of sets
            cannot have.

    Example:

    >>> import numpy as np
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0]], "float32")
    >>> loss = SinkhornLoss(epsilon=0.01, cost="sqeuclidean")
    >>> round(float(loss(points, points + [0.0, 1.0])), 3)  # each point moves by 1, and the divergence counts W twice
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
        name="sinkhorn_loss",
        dtype=None,
    ):
        super().__init__(name=name, reduction=None, dtype=dtype)
        check_arguments(epsilon, iterations, solver)
        self.epsilon = float(epsilon)
        self.iterations = int(iterations)
        self.cost = one_of("cost", cost, COSTS)
        self.debias = bool(debias)
        self.differentiate_plan = bool(differentiate_plan)
        self.value = one_of("value", value, VALUES)
        self.solver = solver
        self.relative_epsilon = bool(relative_epsilon)

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError("SinkhornLoss compares whole batches and cannot take sample_weight. Leave it out.")
        return super().__call__(y_true, y_pred)

    def call(self, y_true, y_pred):
        y_true, y_pred = K.convert_to_tensor(y_true), K.convert_to_tensor(y_pred)
        if not has_known_rank(y_pred):
            raise ValueError("Expected predictions with a known number of axes. Reshape the output of the model.")
        if not has_known_rank(y_true):
            y_true = K.reshape(y_true, K.shape(y_pred))  # numbers that differ raise when the graph runs
        if not _have_one_shape(tuple(y_true.shape), tuple(y_pred.shape)):
            raise ValueError(
                f"Targets and predictions must have one shape. Received: {tuple(y_true.shape)} and "
                f"{tuple(y_pred.shape)}."
            )
        y_true, y_pred = (K.reshape(y, (K.shape(y)[0], -1)) for y in (y_true, y_pred))
        return ops.sinkhorn_divergence(
            y_pred,
            y_true,
            epsilon=self.epsilon,
            iterations=self.iterations,
            cost=self.cost,
            debias=self.debias,
            differentiate_plan=self.differentiate_plan,
            value=self.value,
            solver=self.solver,
            relative_epsilon=self.relative_epsilon,
        )

    def get_config(self):
        config = {key: value for key, value in super().get_config().items() if key != "reduction"}
        return {
            **config,
            "epsilon": self.epsilon,
            "iterations": self.iterations,
            "cost": self.cost,
            "debias": self.debias,
            "differentiate_plan": self.differentiate_plan,
            "value": self.value,
            "solver": self.solver,
            "relative_epsilon": self.relative_epsilon,
        }


def _have_one_shape(first, second) -> bool:
    """Return whether two shapes are equal, apart from the batch size and an extra last axis of size 1."""
    shorter, longer = sorted((first, second), key=len)
    if len(longer) == len(shorter) + 1 and longer[-1] == 1:
        longer = longer[:-1]
    return len(shorter) > 0 and shorter[1:] == longer[1:]
