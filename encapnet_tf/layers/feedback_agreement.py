"""The feedback agreement unit: the paper's regulariser, for any Keras model."""

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.blocks import generator_extractor as feedback_parts
from encapnet_tf.blocks.training_mean import TrainingMean
from encapnet_tf.keras_private import PerReplicaLosses
from encapnet_tf.ops.replicas import all_gather
from encapnet_tf.ops.transport.pairwise_cost import COSTS, self_cost
from encapnet_tf.ops.transport.sinkhorn import check_arguments

DIVERGENCES = ("sinkhorn", "kl")
OBJECTIVES = ("minimize", "adversarial", "frozen")


@keras.saving.register_keras_serializable("encapnet_tf")
class FeedbackAgreement(PerReplicaLosses, keras.layers.Layer):
    """Feedback agreement unit: asks a higher layer to be able to tell what the lower layer was (section 3.2).

    In training, a generator maps the higher layer z back to the lower layer's shape, u' = g(z); an extractor maps u'
    and u to B feature vectors each; their divergence (Eqs. 7 to 11), times `weight`, is added to the model's loss with
    `add_loss`. The output is z itself: put the unit where z is used next. In inference it does nothing, and
    `strip_feedback` takes it out.

    The unweighted divergence is logged as a metric under the layer's name, in training only. (Not on the JAX backend,
    where Keras keeps metrics from layers; `callbacks.CollapseWatch` logs it after each epoch there too.)

    Args:
        weight: lambda, the factor of the divergence in the loss (10 in the paper); settable while training, see
            `callbacks.FeedbackWeightSchedule`.
        num_capsules: capsules of both layers, for the "capsule" generator.
        epsilon, iterations, cost, debias, differentiate_plan, solver, relative_epsilon: of the Sinkhorn divergence, as
            in `ops.sinkhorn_divergence`.
        generator: "capsule" (a transposed capConv, for feature maps of capsules), "conv" (dense, any channel counts;
            for feature maps, token sequences and plain features), None (z has the lower layer's shape already) or a
            Keras layer that maps z to the lower layer's shape.
        extractor: "conv" (two convolutions down to one channel), None (the raw features) or a Keras layer.
        divergence: "sinkhorn", or "kl": batch mean of KL(softmax f(u) || softmax f(u')) over paired samples. Differs
            from the paper: it does not define its KL.
        extractor_objective: what the extractor is trained for. "minimize" the divergence with the rest, as the paper
            does (the extractor can then make the divergence vanish by itself, by collapsing); "adversarial": maximise
            it; "frozen": stay as initialised.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only); settable.
        sync_replicas: whether the divergence is that of the whole batch where several replicas share it (TensorFlow
            only), rather than the mean of their shares' divergences; settable. With `synchronized` batch statistics n
            replicas then equal one.

    Call arguments:
        inputs: [higher, lower]: feature maps (batch, height, width, channels), token sequences (batch, tokens,
            features) or plain features (batch, features).

    Returns:
        higher, unchanged.

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
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)  # the output must be the input, in its own dtype
        check_arguments(epsilon, iterations, solver)
        self.num_capsules = whole_number("num_capsules", num_capsules)
        self.epsilon = float(epsilon)
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
        self._given_generator = feedback_parts.named_or_layer("generator", generator, feedback_parts.GENERATORS)
        self._given_extractor = feedback_parts.named_or_layer("extractor", extractor, feedback_parts.EXTRACTORS)
        self._weight = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(_finite("weight", weight)), trainable=False,
            dtype="float32", autocast=False, name="weight",
        )  # fmt: skip
        self._metric = TrainingMean(name=self.name)

    @property
    def weight(self) -> float:
        """Lambda; settable, also while a compiled model trains."""
        return float(K.convert_to_numpy(self._weight))

    @weight.setter
    def weight(self, value):
        self._weight.assign(_finite("weight", value))

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

    def build(self, input_shape):
        if not isinstance(input_shape, (list, tuple)) or len(input_shape) != 2 or isinstance(input_shape[0], int):
            raise ValueError(f"{self.name} is called on [higher, lower]. Received: input shape {input_shape}.")
        higher_shape, lower_shape = (tuple(shape) for shape in input_shape)
        options = {"synchronized": self._synchronized, "dtype": self.dtype_policy}
        self.generator = self._given_generator
        if isinstance(self.generator, str):
            self.generator = feedback_parts.generator(
                self.generator, self.num_capsules, higher_shape, lower_shape, **options
            )
        generated_shape = higher_shape
        if self.generator is not None:
            if not self.generator.built:
                self.generator.build(higher_shape)
            generated_shape = tuple(self.generator.compute_output_shape(higher_shape))
        if generated_shape[1:] != lower_shape[1:]:
            made = "The higher layer has" if self.generator is None else "The generator makes"
            raise ValueError(
                f"{self.name}: {made} shape {generated_shape}; to be compared with the lower layer it must be "
                f"{lower_shape}."
            )
        self.extractor = self._given_extractor
        if isinstance(self.extractor, str):
            self.extractor = feedback_parts.extractor(lower_shape, **options)
        if self.extractor is not None:
            if not self.extractor.built:
                self.extractor.build(lower_shape)
            if self.extractor_objective == "frozen":
                self.extractor.trainable = False

    def call(self, inputs, training=None):
        higher, lower = inputs
        # In a JAX training step Keras gives layers no access to metrics: there the divergence is not logged.
        self._metric.training = bool(training) and keras.backend.backend() != "jax"
        if training:
            divergence = self.agreement(higher, lower, training=True)
            if self._metric.training:
                self._metric.update_state(divergence)
            self.add_loss(K.cast(self._weight, divergence.dtype) * divergence)
        return higher

    def agreement(self, higher, lower, training=False):
        """The unweighted divergence of a batch.

        Args:
            higher, lower: the layers' outputs, as in `call`.
            training: whether batch normalisations use the batch's statistics.

        Returns:
            A scalar in at least float32.
        """
        if not self.built:
            self.build([higher.shape, lower.shape])
        generated = self._extract(self._generate(higher, training), training)
        lower = self._extract(lower, training)
        if training and self.sync_replicas:
            generated, lower = all_gather(generated), all_gather(lower)
        return self._compare(generated, lower, training)

    def diagnose(self, higher, lower):
        """What tells a collapsed extractor from a lower layer that really is told: see `callbacks.CollapseWatch`.

        Batch normalisations use the batch's statistics, as in training; no weight or statistic changes.

        Args:
            higher, lower: the layers' outputs for a few images, as in `call`.

        Returns:
            Floats: "divergence" of the extracted features and "raw_divergence" of the features as they are (the unit's
            own divergence, without extractor); "spread", mean cost between the extracted features of two images, and
            "raw_spread", that of the lower layer's features as they are.
        """
        generated = feedback_parts.as_trained(self.generator, higher)
        extracted, features = (
            feedback_parts.flattened(feedback_parts.as_trained(self.extractor, x)) for x in (generated, lower)
        )
        raw = feedback_parts.flattened(lower)
        values = {
            "divergence": self._compare(extracted, features),
            "raw_divergence": self._compare(feedback_parts.flattened(generated), raw),
            "spread": K.mean(self_cost(features, self.cost)),
            "raw_spread": K.mean(self_cost(raw, self.cost)),
        }
        return {name: float(value) for name, value in values.items()}

    def _generate(self, higher, training):
        return higher if self.generator is None else self.generator(higher, training=training)

    def _compare(self, generated, lower, training=False):
        if self.divergence == "kl":
            log_p, log_q = K.log_softmax(lower), K.log_softmax(generated)
            return K.mean(K.sum(K.exp(log_p) * (log_p - log_q), axis=-1))
        options = (self.epsilon, self.iterations, self.cost, self.debias, self.differentiate_plan, "sharp")
        solving = (self.solver, self.relative_epsilon)
        return ops.sinkhorn_divergence(generated, lower, *options, *solving, training=training)

    def _extract(self, x, training):
        """(batch, features) of one side, in at least float32."""
        if self.extractor is not None:
            x = self._reversed_extractor(x) if training and self._reverses() else self.extractor(x, training=training)
        return feedback_parts.flattened(x)

    def _reverses(self):
        return self.extractor_objective == "adversarial"

    def _reversed_extractor(self, x):
        """The extractor, its own weights' gradient with the sign changed; that of its input stays as it is."""
        weights = [feedback_parts.reversed_gradient(K.convert_to_tensor(v)) for v in self.extractor.trainable_variables]
        state = [v.value for v in self.extractor.non_trainable_variables]
        features, state = self.extractor.stateless_call(weights, state, x, training=True)
        for variable, value in zip(self.extractor.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return features

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
            "generator": feedback_parts.serialized(self._given_generator),
            "extractor": feedback_parts.serialized(self._given_extractor),
            "divergence": self.divergence,
            "extractor_objective": self.extractor_objective,
            "solver": self.solver,
            "relative_epsilon": self.relative_epsilon,
            "synchronized": self.synchronized,
            "sync_replicas": self.sync_replicas,
        }


def units_of(model):
    """The feedback agreement units of a model and of the models nested in it.

    Args:
        model: a Keras model.

    Returns:
        List of `FeedbackAgreement`.
    """
    units = []
    for layer in model.layers:
        if isinstance(layer, FeedbackAgreement):
            units.append(layer)
        elif isinstance(layer, keras.Model):
            units += units_of(layer)
    return units


def _finite(name, value):
    value = float(value)
    if not abs(value) < float("inf"):
        raise ValueError(f"{name} must be a finite number. Received: {name}={value!r}.")
    return value
