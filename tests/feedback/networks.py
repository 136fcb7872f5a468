"""Small networks with a feedback agreement unit, generators and extractors as a user would write them, gradients."""

import keras
import numpy as np
import tensorflow as tf

from encapnet_tf.layers import FeedbackAgreement

# Input kind -> (shape of the lower layer, the layer that makes the higher one from it).
KINDS = {
    "same_map": ((6, 5, 4), lambda: keras.layers.Conv2D(4, 3, padding="same")),
    "even_map": ((8, 6, 4), lambda: keras.layers.Conv2D(8, 3, strides=2, padding="same")),
    "odd_map": ((7, 7, 4), lambda: keras.layers.Conv2D(8, 3, strides=2, padding="same")),
    "same_tokens": ((6, 4), lambda: keras.layers.Conv1D(4, 3, padding="same")),
    "doubled_tokens": ((10, 4), lambda: keras.layers.Conv1D(6, 3, strides=2, padding="same")),
    "odd_tokens": ((9, 4), lambda: keras.layers.Conv1D(6, 3, strides=2, padding="same")),
    "same_features": ((12,), lambda: keras.layers.Dense(12)),
    "features": ((12,), lambda: keras.layers.Dense(5)),
}


def network(kind="features", name="agreement", **options):
    """Build input -> dense layer "lower" -> the kind's layer "higher" -> unit -> two outputs, not compiled."""
    shape, make_higher = KINDS[kind]
    inputs = keras.Input(shape)
    lower = keras.layers.Dense(shape[-1], activation="relu", name="lower")(inputs)
    higher = make_higher()
    higher.name = "higher"
    x = higher(lower)
    x = FeedbackAgreement(**{"generator": "conv", "num_capsules": 2, "name": name, **options})([x, lower])
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(keras.layers.Flatten()(x)))


def data(model, size=8, seed=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(size, *model.input_shape[1:])).astype("float32"), rng.normal(size=(size, 2)).astype(
        "float32"
    )


def sides(model, x):
    """Return the outputs (higher, lower) that the unit is called on."""
    return keras.Model(model.input, [model.get_layer(name).output for name in ("higher", "lower")])(x)


def gradients(unit, higher, lower):
    """Return the divergence in training mode and its gradients with respect to both inputs and the unit's weights."""
    higher, lower = tf.convert_to_tensor(higher), tf.convert_to_tensor(lower)
    variables = [variable.value for variable in unit.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([higher, lower])
        value = unit.agreement(higher, lower, training=True)
    inputs, weights = tape.gradient(value, [[higher, lower], variables])
    paths = [variable.path for variable in unit.trainable_variables]
    return value, inputs, dict(zip(paths, weights, strict=True))


@keras.saving.register_keras_serializable("tests_feedback")
class Upscale(keras.layers.Layer):
    """Generator with weights that doubles a map and mixes its channels."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.mix = keras.layers.Conv2D(filters, 1)

    def build(self, input_shape):
        self.mix.build(input_shape)

    def call(self, x):
        return keras.ops.repeat(keras.ops.repeat(self.mix(x), 2, axis=1), 2, axis=2)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (batch, 2 * height, 2 * width, self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("tests_feedback")
class Counting(keras.layers.Layer):
    """Extractor without weights that counts its calls in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def call(self, x, training=None):
        self.calls += bool(training)
        return x

    def compute_output_shape(self, input_shape):
        return input_shape


def pooled_dense(units=6):
    """Return an extractor of Keras's layers: global pooling, dropout and a dense layer."""
    return keras.Sequential(
        [keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.2), keras.layers.Dense(units, "tanh")]
    )
