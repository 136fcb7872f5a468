"""Tiny networks with a feedback agreement unit, and what a training step does to them."""

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
    """Input -> a linear layer "lower" -> the kind's layer "higher" -> unit -> two outputs; not compiled."""
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
    """What the unit is called on: (higher, lower)."""
    return keras.Model(model.input, [model.get_layer(name).output for name in ("higher", "lower")])(x)


def gradients(unit, higher, lower):
    """The divergence in training mode; its gradients with respect to both inputs and to the unit's own weights."""
    higher, lower = tf.convert_to_tensor(higher), tf.convert_to_tensor(lower)
    variables = [variable.value for variable in unit.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([higher, lower])
        value = unit.agreement(higher, lower, training=True)
    inputs, weights = tape.gradient(value, [[higher, lower], variables])
    paths = [variable.path for variable in unit.trainable_variables]
    return value, inputs, dict(zip(paths, weights, strict=True))
