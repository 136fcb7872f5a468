"""Keras loss that computes the Sinkhorn divergence between targets and predictions."""

import math

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.losses.targets import has_known_rank
from encapnet_tf.ops.precision import numeric
from encapnet_tf.ops.transport.pairwise_cost import check_cost
from encapnet_tf.ops.transport.sinkhorn import check_arguments
from encapnet_tf.ops.transport.sinkhorn_divergence import VALUES


@keras.saving.register_keras_serializable("encapnet_tf")
class SinkhornLoss(keras.losses.Loss):
    """Keras loss that treats targets and predictions as point sets and computes their Sinkhorn divergence.

        loss = 2 W(y_pred, y_true) - W(y_pred, y_pred) - W(y_true, y_true)        (Eq. 11 of the paper)

    It compares two sets as a whole: the order of the targets does not matter. With `sample_axis=0` the samples of the
    batch are the points: one divergence between the batch of predictions and the batch of targets. With `sample_axis=1`
    each sample is a point set: a divergence for each sample, between the set that is predicted and that of the target,
    as in GeomLoss (whose values are half of the "dual" ones).

    Args:
        epsilon, iterations, cost, debias, differentiate_plan, value, solver, relative_epsilon, block_size: arguments of
            `ops.sinkhorn_divergence`. A cost function must be registered with Keras for the loss to be saved.
        name, dtype: arguments of `keras.losses.Loss`.
        sample_axis: axis of targets and predictions along which the points of a set lie, 0 or 1.
        reduction: argument of `keras.losses.Loss`, for the divergences of the samples with `sample_axis=1`.

    Call arguments:
        y_true: (batch, ...), flattened to (batch, features); with `sample_axis=1` (batch, points, ...), flattened to
            (batch, points, features).
        y_pred: tensor of the shape of `y_true`, but with `sample_axis=1` the numbers of points may differ. One of the
            two may lack the other's last axis if that has size 1, so that targets (batch,) fit the output of
            `Dense(1)`.
        sample_weight: with `sample_axis=0`, (batch,): weights of the points of both sets, divided by their sum. With
            `sample_axis=1`, (batch,): factors of the samples' divergences; or (batch, points): weights of the points of
            the targets, divided by their sum in each sample. Points of weight 0 are absent, and may be NaN: so targets
            of fewer points can be padded. Predicted points that a Keras mask (batch, points) leaves out are absent.

    Returns:
        A scalar. A batch, or a sample, in which all weights are 0 counts as 0.

    Raises:
        ValueError: a choice is unknown, the shapes do not fit, or (eagerly) a weight is negative.

    Example:

    >>> import numpy as np
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0]], "float32")
    >>> loss = SinkhornLoss(epsilon=0.01, cost="sqeuclidean")
    >>> round(float(loss(points, points + [0.0, 1.0])), 3)  # each point moves by 1, and the divergence counts W twice
    2.0
    >>> loss = SinkhornLoss(epsilon=0.01, cost="sqeuclidean", sample_axis=1, reduction=None)
    >>> sets = np.stack([points, 2 * points])
    >>> np.round(np.asarray(loss(sets, sets + [0.0, 1.0])), 3).tolist()  # a divergence for each sample
    [2.0, 2.0]
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
        *,
        sample_axis=0,
        block_size=None,
        reduction="sum_over_batch_size",
    ):
        sample_axis = one_of("sample_axis", sample_axis, (0, 1))
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self._given_reduction = reduction
        if sample_axis == 0:
            self.reduction = None  # the divergence of a batch is one number
        check_arguments(epsilon, iterations, solver)
        self.epsilon = float(epsilon)
        self.iterations = int(iterations)
        self.cost = check_cost(cost)
        self.debias = bool(debias)
        self.differentiate_plan = bool(differentiate_plan)
        self.value = one_of("value", value, VALUES)
        self.solver = solver
        self.relative_epsilon = bool(relative_epsilon)
        self.sample_axis = int(sample_axis)
        self.block_size = None if block_size is None else whole_number("block_size", block_size)

    def __call__(self, y_true, y_pred, sample_weight=None):
        # Weights of points, and Keras's masks of them, belong to the sets: they are no factors of the divergences.
        if sample_weight is not None and not (self.sample_axis == 1 and _is_one_number_per_sample(sample_weight)):
            y_true, sample_weight = {"points": y_true, "weights": sample_weight}, None
        mask = getattr(y_pred, "_keras_mask", None)
        if self.sample_axis == 1 and mask is not None:
            y_pred = {"points": y_pred, "weights": mask}
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        y_true, true_weights = _points_and_weights(y_true)
        y_pred, predicted_weights = _points_and_weights(y_pred)
        y_true, y_pred = self._point_sets(numeric(y_true, "y_true"), numeric(y_pred, "y_pred"))
        if self.sample_axis == 0:
            predicted_weights = true_weights
        y_true, true_weights, has_true = _normalise(y_true, true_weights)
        y_pred, predicted_weights, has_predicted = _normalise(y_pred, predicted_weights)
        values = self._divergence(y_true, y_pred, true_weights, predicted_weights)
        return values if has_true is has_predicted is True else K.where(has_true & has_predicted, values, 0.0)

    def _divergence(self, y_true, y_pred, true_weights, predicted_weights):
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
            x_weights=predicted_weights,
            y_weights=true_weights,
            block_size=self.block_size,
        )

    def _point_sets(self, y_true, y_pred):
        """Flatten each sample of the targets and of the predictions, or raise ValueError if their shapes differ."""
        if not has_known_rank(y_pred):
            raise ValueError("Expected predictions with a known number of axes. Reshape the output of the model.")
        axes = self.sample_axis + 1  # those that are not features
        if not has_known_rank(y_true):  # numbers that differ raise when the graph runs
            features = K.shape(y_pred)[axes:]
            y_true = K.reshape(y_true, (*K.shape(y_pred)[: axes - 1], -1, *features))
        shapes = tuple(y_true.shape), tuple(y_pred.shape)
        if not _have_equal_features(*shapes, axes):
            sizes = "one shape" if axes == 1 else "shapes (batch, points, ...) that differ in the number of points only"
            raise ValueError(f"Targets and predictions must have {sizes}. Received: {shapes[0]} and {shapes[1]}.")
        return (K.reshape(y, (*K.shape(y)[:axes], -1)) for y in (y_true, y_pred))

    def get_config(self):
        cost = keras.saving.serialize_keras_object(self.cost) if callable(self.cost) else self.cost
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "iterations": self.iterations,
            "cost": cost,
            "debias": self.debias,
            "differentiate_plan": self.differentiate_plan,
            "value": self.value,
            "solver": self.solver,
            "relative_epsilon": self.relative_epsilon,
            "sample_axis": self.sample_axis,
            "block_size": self.block_size,
            "reduction": self._given_reduction,
        }

    @classmethod
    def from_config(cls, config):
        cost = config.get("cost")
        if isinstance(cost, dict):
            config = {**config, "cost": keras.saving.deserialize_keras_object(cost)}
        return cls(**config)


def _points_and_weights(points):
    """Unpack points and weights from a dictionary, or return plain points with None as their weights."""
    if isinstance(points, dict) and set(points) != {"points", "weights"}:
        raise ValueError(f"Expected a dictionary of points and weights. Received: the keys {sorted(map(str, points))}.")
    return (points["points"], points["weights"]) if isinstance(points, dict) else (points, None)


def _normalise(points, weights):
    """Normalise the weights of each point set to a sum of 1, and set the points of zero-weight sets to 0.

    Args:
        points: (points, features) or (batch, points, features).
        weights: a number for each point, or None.

    Returns:
        Points, weights, and whether a set has weight, a boolean tensor; or points, None and True.
    """
    if weights is None:
        return points, None, True
    weights = K.reshape(weights, K.shape(points)[:-1])
    total = K.sum(weights, axis=-1, keepdims=True)
    has_weight = total != 0
    weights = K.where(has_weight, weights, 1.0 / K.cast(K.shape(weights)[-1], weights.dtype))
    points = K.where(has_weight[..., None], points, 0.0)  # a set without weight may be NaN
    return points, weights / K.where(has_weight, total, 1.0), has_weight[..., 0]


def _is_one_number_per_sample(weights) -> bool:
    """Return whether sample weights hold one number for each sample, rather than one for each point.

    The shape is then (batch,) or (batch, 1), and not (batch, points).
    """
    shape = tuple(K.convert_to_tensor(weights).shape)
    return math.prod(1 if size is None else size for size in shape[1:]) == 1


def _have_equal_features(first, second, axes) -> bool:
    """Return whether two tensor shapes have equal feature axes, apart from an extra last axis of size 1.

    Of the first axes, all but the last, along which the points of a set lie, must be equal, too.
    """
    shorter, longer = sorted((first, second), key=len)
    if len(longer) == len(shorter) + 1 and longer[-1] == 1:
        longer = longer[:-1]
    batches = zip(shorter[: axes - 1], longer[: axes - 1], strict=False)
    are_batches_equal = all(None in sizes or sizes[0] == sizes[1] for sizes in batches)
    return len(shorter) >= axes and shorter[axes:] == longer[axes:] and are_batches_equal
