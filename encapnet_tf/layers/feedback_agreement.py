"""Keras layer that adds a Sinkhorn divergence between the features of two layers to the loss."""

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import finite_number, one_of, refuse_empty, whole_number
from encapnet_tf.blocks.feedback.feature_extraction import (
    adversarial_features,
    flatten_features,
    training_output,
    zero_padding,
)
from encapnet_tf.blocks.feedback.feedback_extractor import EXTRACTORS, feedback_extractor
from encapnet_tf.blocks.feedback.feedback_generator import GENERATORS, feedback_generator
from encapnet_tf.blocks.name_or_layer import name_or_layer, serialize_name_or_layer
from encapnet_tf.blocks.training_mean import TrainingMean
from encapnet_tf.blocks.unsaved_number import UnsavedNumber
from encapnet_tf.keras_private import PerReplicaLosses
from encapnet_tf.ops.counts import with_equal_counts
from encapnet_tf.ops.replicas import all_gather
from encapnet_tf.ops.transport.pairwise_cost import COSTS, pairwise_cost, prepare, self_cost
from encapnet_tf.ops.transport.sinkhorn import check_arguments

DIVERGENCES = ("sinkhorn", "paired", "kl")
OBJECTIVES = ("minimize", "adversarial", "frozen")


@keras.saving.register_keras_serializable("encapnet_tf")
class FeedbackAgreement(PerReplicaLosses, keras.layers.Layer):
    """Keras layer that adds a Sinkhorn divergence between the features of two layers to the loss.

    It is the feedback agreement unit of section 3.2 of the paper, which makes the features of a lower layer recoverable
    from the output of a higher layer.

        loss term = weight * divergence(f(g(z)), f(u))        (Eqs. 7 to 11)

    z is the higher layer's output and u the lower layer's. The generator g maps z back to the shape of u, and the
    extractor f maps each of the two to one feature vector a sample. The divergence compares the two sets of vectors of
    a batch. The term is added to the model's loss with `add_loss`, in training only.

    The layer's output is z, unchanged: use the layer's output in place of z. It computes nothing in inference, and
    `strip_feedback` removes it.

    The unweighted divergence is logged as a metric under the layer's name, in training only. On the JAX backend a layer
    cannot update a metric in the training step, so this metric is not logged; `callbacks.CollapseWatch` logs the
    divergence after each epoch on every backend.

    Args:
        weight: lambda, the factor of the divergence in the loss (10 in the paper); it can be changed while training,
            see `callbacks.FeedbackWeightSchedule`.
        num_capsules: capsules of both layers, for the "capsule" generator.
        epsilon, iterations, cost, debias, differentiate_plan, solver, relative_epsilon: arguments of
            `ops.sinkhorn_divergence`. `epsilon` can be changed while training.
        generator: "capsule" (a transposed capConv, for feature maps of capsules), "conv" (a dense transposed
            convolution, for feature maps, token sequences and feature vectors of any channel counts), "resize"
            (bilinear resizing and a convolution, for feature maps of any two sizes), None (z has the lower layer's
            shape already) or a Keras layer that maps z to the lower layer's shape.
        extractor: "conv" (two convolutions down to one channel), "wide" (at least 16 features, where the layer has
            so many, and no ReLU at the end), None (the raw features) or a Keras layer.
        divergence: "sinkhorn"; "paired": batch mean of 1 - cos(f(g(z)), f(u)), which compares each sample with itself;
            or "kl": batch mean of KL(softmax f(u) || softmax f(g(z))) over paired samples. Differs from the paper: it
            does not define its KL.
        extractor_objective: training objective of the extractor. "minimize": minimise the divergence as the rest of the
            network does (the paper's; the extractor can then make the divergence vanish by collapsing to a constant).
            "adversarial": maximise the divergence. "frozen": keep the initial weights, also when `trainable` of this
            layer or of the model is set to True.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only); it can be changed later.
        sync_replicas: whether several replicas compute the divergence of the global batch (TensorFlow only), rather
            than the mean of the divergences of their shares; it can be changed later. Together with `synchronized`,
            training on n replicas equals training on one.
        target_gradient: whether the divergence moves the lower layer, too. False holds u fixed: the higher layer learns
            to tell what the lower one was, which it cannot do by making u simpler.

    Call arguments:
        inputs: [higher, lower], two feature maps (batch, height, width, channels), token sequences (batch, tokens,
            features) or feature vectors (batch, features).
        mask: [higher's mask, lower's mask], each (batch, tokens) or None; Keras passes on those of `Masking` and of
            `Embedding(mask_zero=True)`. Padded tokens are set to 0 on both sides before they are compared.

    Returns:
        higher, unchanged, with its mask.

    Raises:
        ValueError: epsilon or iterations is not positive, a choice is unknown, or the generator cannot connect the
            shapes.

    Example:

    >>> import keras
    >>> inputs = keras.Input((16, 16, 8))
    >>> x = keras.layers.Conv2D(16, 3, strides=2, padding="same")(inputs)
    >>> x = FeedbackAgreement(generator="conv", name="agreement")([x, inputs])
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(keras.ops.ones((8, 16, 16, 8)), keras.ops.ones((8, 2)), verbose=0)
    >>> sorted(history.history)
    ['agreement', 'loss']
    """

    def __init__(
        self,
        weight=10.0,
        num_capsules=32,
        epsilon=1.0,
        iterations=10,
        cost="cosine",
        debias=True,
        differentiate_plan=False,
        generator="capsule",
        extractor="conv",
        divergence="sinkhorn",
        extractor_objective="minimize",
        solver="fast",
        relative_epsilon=False,
        synchronized=False,
        sync_replicas=False,
        *,
        target_gradient=True,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # the output is the input, in the input's dtype
        self.supports_masking = True
        check_arguments(epsilon, iterations, solver)
        self.num_capsules = whole_number("num_capsules", num_capsules)
        with keras.name_scope(self.name, caller=self):  # a path of its own, as weights have
            self._epsilon = UnsavedNumber(epsilon, self.variable_dtype, name="epsilon")
        self.iterations = int(iterations)
        self.cost = one_of("cost", cost, COSTS)
        self.debias = bool(debias)
        self.differentiate_plan = bool(differentiate_plan)
        self.divergence = one_of("divergence", divergence, DIVERGENCES)
        self.extractor_objective = one_of("extractor_objective", extractor_objective, OBJECTIVES)
        self.solver = solver
        self.relative_epsilon = bool(relative_epsilon)
        self._synchronized = bool(synchronized)
        self.sync_replicas = bool(sync_replicas)
        self.target_gradient = bool(target_gradient)
        # These two attribute names are part of saved files: renaming them would break loading of a user's own layers.
        self._given_generator = name_or_layer("generator", generator, GENERATORS)
        self._given_extractor = name_or_layer("extractor", extractor, EXTRACTORS)
        self._weight = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(finite_number("weight", weight)), trainable=False,
            dtype="float32", autocast=False, name="weight",
        )  # fmt: skip
        self._metric = TrainingMean(name=self.name)

    @property
    def weight(self) -> float:
        """Weight of the Sinkhorn divergence in the loss (lambda in the EncapNet paper).

        It can be changed while a compiled model trains.
        """
        return float(K.convert_to_numpy(self._weight))

    @weight.setter
    def weight(self, value):
        self._weight.assign(finite_number("weight", value))

    @property
    def epsilon(self) -> float:
        """Entropic regularisation strength (epsilon) of the optimal transport.

        It can be changed while a compiled model trains.
        """
        return self._epsilon.number

    @epsilon.setter
    def epsilon(self, value):
        check_arguments(value, self.iterations, self.solver)
        self._epsilon.number = value

    @property
    def synchronized(self):
        return self._synchronized

    @synchronized.setter
    def synchronized(self, value):
        self._synchronized = bool(value)
        for part in (self.generator, self.extractor) if self.built else ():
            for layer in getattr(part, "layers", ()):
                if hasattr(layer, "synchronized"):
                    layer.synchronized = bool(value)

    @property
    def trainable(self):
        return super().trainable

    @trainable.setter
    def trainable(self, value):
        keras.layers.Layer.trainable.fset(self, value)
        if self.built:
            self._freeze_extractor()

    def _freeze_extractor(self):
        """Freeze the weights of a feature extractor if the argument `extractor_objective` is "frozen"."""
        if self.extractor is not None and self.extractor_objective == "frozen":
            self.extractor.trainable = False

    def build(self, input_shape):
        if not isinstance(input_shape, (list, tuple)) or len(input_shape) != 2 or isinstance(input_shape[0], int):
            raise ValueError(f"{self.name} is called on [higher, lower]. Received: input shape {input_shape}.")
        higher_shape, lower_shape = (tuple(shape) for shape in input_shape)
        for shape in (higher_shape, lower_shape):
            refuse_empty(self.name, shape)
        options = {"synchronized": self._synchronized, "dtype": self.dtype_policy}
        self.generator = self._given_generator
        if isinstance(self.generator, str):
            self.generator = feedback_generator(
                self.generator, higher_shape, lower_shape, num_capsules=self.num_capsules, **options
            )
        reconstruction_shape = higher_shape
        if self.generator is not None:
            if not self.generator.built:
                self.generator.build(higher_shape)
            reconstruction_shape = tuple(self.generator.compute_output_shape(higher_shape))
        if reconstruction_shape[1:] != lower_shape[1:]:
            subject = "The higher layer has" if self.generator is None else "The generator makes"
            raise ValueError(
                f"{self.name}: {subject} shape {reconstruction_shape}, but the lower layer has shape {lower_shape}. "
                "Pass a generator that maps to the lower layer's shape."
            )
        self.extractor = self._given_extractor
        if isinstance(self.extractor, str):
            self.extractor = feedback_extractor(self.extractor, lower_shape, **options)
        if self.extractor is not None and not self.extractor.built:
            self.extractor.build(lower_shape)
        self._freeze_extractor()

    def call(self, inputs, training=None, mask=None):
        higher, lower = inputs
        # In a JAX training step Keras gives layers no access to metrics.
        self._metric.training = bool(training) and keras.backend.backend() != "jax"
        if training:
            divergence = self.agreement(higher, lower, training=True, mask=mask)
            if self._metric.training:
                self._metric.update_state(divergence)
            self.add_loss(K.cast(self._weight, divergence.dtype) * divergence)
        return higher

    def compute_mask(self, inputs, previous_mask):
        return None if previous_mask is None else previous_mask[0]

    def agreement(self, higher, lower, training=False, mask=None):
        """Compute the divergence between a layer's output and a reconstruction of this output.

        The reconstruction is computed from a higher layer. Both are first reduced to feature vectors.

        Args:
            higher, lower: the layers' outputs, as in `call`.
            training: whether batch normalisations use the batch's statistics.
            mask: [higher's mask, lower's mask] or None, as in `call`.

        Returns:
            A scalar in at least float32.
        """
        if not self.built:
            self.build([higher.shape, lower.shape])
        if None not in (sizes := (higher.shape[0], lower.shape[0])) and sizes[0] != sizes[1]:
            raise ValueError(f"{self.name}: both layers need as many samples in a batch. Received: {sizes}.")
        masks = mask or ()
        lower = lower if self.target_gradient else K.stop_gradient(lower)
        higher, lower = zero_padding(higher, masks), zero_padding(lower, masks)
        reconstruction = higher if self.generator is None else self.generator(higher, training=training)
        reconstruction = zero_padding(reconstruction, masks)
        reconstruction, lower = self._features(reconstruction, training), self._features(lower, training)
        if training and self.sync_replicas:
            reconstruction, lower = all_gather(reconstruction), all_gather(lower)
        return self._divergence(reconstruction, lower, training)

    def diagnose(self, higher, lower, mask=None):
        """Return metrics that reveal a collapsed feature extractor or a nearly uniform transport plan.

        A collapsed extractor has a small divergence and spread beside large raw ones; see `callbacks.CollapseWatch`. A
        transport plan that hardly tells one image from another has a paired mass near 1 / batch.
        Batch normalisations use the batch's statistics, as in training. No weight or moving statistic changes.

        Args:
            higher, lower: the layers' outputs for a few images, as in `call`.
            mask: [higher's mask, lower's mask] or None, as in `call`.

        Returns:
            Dictionary of floats. "divergence": of the extracted features. "raw_divergence": of the features before the
            extractor. "spread": mean cost between the extracted lower-layer features of two images. "raw_spread": mean
            cost between their features before the extractor. "paired_mass": share of the transport plan's mass that
            moves from an image's features to the same image's, the trace of P; 1 / batch for a uniform plan.
        """
        masks = mask or ()
        higher, lower = zero_padding(higher, masks), zero_padding(lower, masks)
        reconstruction = zero_padding(training_output(self.generator, higher), masks)
        raw_reconstruction, raw_lower = flatten_features(reconstruction), flatten_features(lower)
        reconstruction_features = flatten_features(training_output(self.extractor, reconstruction))
        lower_features = flatten_features(training_output(self.extractor, lower))
        values = {
            "divergence": self._divergence(reconstruction_features, lower_features),
            "raw_divergence": self._divergence(raw_reconstruction, raw_lower),
            "spread": K.mean(self_cost(lower_features, self.cost)),
            "raw_spread": K.mean(self_cost(raw_lower, self.cost)),
            "paired_mass": K.sum(K.diagonal(self._plan(reconstruction_features, lower_features))),
        }
        return {name: float(value) for name, value in values.items()}

    def _plan(self, reconstruction, lower):
        """Compute the entropic optimal transport plan between two batches of feature vectors.

        The plan has the shape (batch, batch).
        """
        cost = pairwise_cost(reconstruction, lower, self.cost)
        return ops.sinkhorn_plan(cost, self._epsilon.state, self.iterations, self.solver, self.relative_epsilon)

    def _divergence(self, reconstruction, lower, training=False):
        """Compute the configured divergence between two batches of feature vectors.

        It is the Sinkhorn divergence, the mean cosine distance of pairs, or the KL divergence.
        """
        if self.divergence != "sinkhorn":
            reconstruction, lower = with_equal_counts(reconstruction, lower)
        if self.divergence == "paired":
            reconstruction, lower = prepare(reconstruction, lower, "cosine")
            return K.mean(1.0 - K.sum(reconstruction * lower, axis=-1))
        if self.divergence == "kl":
            log_p, log_q = K.log_softmax(lower), K.log_softmax(reconstruction)
            return K.mean(K.sum(K.exp(log_p) * (log_p - log_q), axis=-1))
        return ops.sinkhorn_divergence(
            reconstruction,
            lower,
            epsilon=self._epsilon.state,
            iterations=self.iterations,
            cost=self.cost,
            debias=self.debias,
            differentiate_plan=self.differentiate_plan,
            solver=self.solver,
            relative_epsilon=self.relative_epsilon,
            training=training,
        )

    def _features(self, x, training):
        """Extract one feature vector per sample from a layer's output.

        The vectors are the rows of a matrix (batch, features).
        """
        if self.extractor is None:
            return flatten_features(x)
        if training and self.extractor_objective == "adversarial":
            return flatten_features(adversarial_features(self.extractor, x))
        return flatten_features(self.extractor(x, training=training))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def get_config(self):
        return {
            **super().get_config(),
            "weight": self.weight,
            "num_capsules": self.num_capsules,
            "epsilon": self.epsilon,
            "iterations": self.iterations,
            "cost": self.cost,
            "debias": self.debias,
            "differentiate_plan": self.differentiate_plan,
            "generator": serialize_name_or_layer(self._given_generator),
            "extractor": serialize_name_or_layer(self._given_extractor),
            "divergence": self.divergence,
            "extractor_objective": self.extractor_objective,
            "solver": self.solver,
            "relative_epsilon": self.relative_epsilon,
            "synchronized": self.synchronized,
            "sync_replicas": self.sync_replicas,
            "target_gradient": self.target_gradient,
        }


def units_of(model):
    """Return all Sinkhorn-divergence regularisers of a model, including those in nested models.

    Args:
        model: a Keras model.

    Returns:
        List of `FeedbackAgreement` layers.
    """
    units = []
    for layer in model.layers:
        if isinstance(layer, FeedbackAgreement):
            units.append(layer)
        elif isinstance(layer, keras.Model):
            units += units_of(layer)
    return units
