"""Dtype policies of every layer and model: output dtypes, finite values, one finite training step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.core.conformance.rows import LAYERS, MODELS, enliven, last_layers, named

POLICIES = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16", "float64": "float64"}
TOLERANCE = {"float16": 0.01, "bfloat16": 0.1, "float64": 1e-5}


def first_of_each_class(rows):
    """Return the first row of each public class."""
    return list({row.public: row for row in reversed(rows)}.values())


def rows_and_policies():
    """Pair the first row of each layer class, and the first model, with all policies, the other rows with one each.

    The default suite takes float16 for the first rows, and of the models two; continuous integration takes all.
    """
    first = first_of_each_class(LAYERS) + MODELS[:1]
    rest = [row for row in LAYERS + MODELS if row not in first]
    pairs = [(row, policy) for row in first for policy in POLICIES]
    pairs += [(row, list(POLICIES)[i % 3]) for i, row in enumerate(rest)]
    rare = [pair for pair in pairs if pair[0] in MODELS[2:] or (pair[0] in first and pair[1] != "mixed_float16")]
    return [
        pytest.param(*pair, id=f"{pair[0].name}-{pair[1]}", marks=[pytest.mark.ci] if pair in rare else [])
        for pair in pairs
    ]


def float32_twin(row, model):
    """Return the row's float32 model with the weights of `model`."""
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    twin = row.model()
    twin.set_weights(model.get_weights())
    return twin


@pytest.mark.parametrize(("row", "policy"), rows_and_policies())
def test_policy(row, policy):
    keras.config.set_dtype_policy(policy)
    if policy == "float64" and "kernel_regularizer" in row.factory.keywords:
        keras.config.set_floatx("float64")  # Keras adds no float64 penalty to a float32 loss.
    compute_dtype = POLICIES[policy]
    x = row.input()
    model = enliven(row.model(), row.input(batch=12))  # variances of few inputs can be small, and magnify rounding
    y = model(x, training=False)
    at_least_float32 = "float64" if policy == "float64" else "float32"
    expected = at_least_float32 if row.kind == "models" else compute_dtype
    assert keras.backend.standardize_dtype(y.dtype) == expected
    assert {w.dtype for w in model.weights} <= {at_least_float32}
    if row.kind == "models":
        assert len(last_layers(model)) >= 2
        assert {layer.compute_dtype for layer in last_layers(model)} == {at_least_float32}
        assert model.get_layer("stem").compute_dtype == compute_dtype
    else:
        assert compute_dtype in {layer.compute_dtype for layer in model.layers[1:]}
    y = keras.ops.convert_to_numpy(keras.ops.cast(y, "float64"))
    assert np.isfinite(y).all()

    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    loss = model.train_on_batch(x, np.ones_like(y))
    assert np.isfinite(loss)
    after = model.get_weights()
    assert all(np.isfinite(w).all() for w in after)
    if model.trainable_weights:
        assert any((a != b).any() for a, b in zip(before, after, strict=True))

    model.set_weights(before)
    expected = np.asarray(float32_twin(row, model)(x, training=False))
    assert expected.std() > 0.01
    np.testing.assert_allclose(y, expected, rtol=TOLERANCE[compute_dtype], atol=TOLERANCE[compute_dtype])


@pytest.mark.parametrize("row", LAYERS, ids=named)
def test_dtype_argument_reaches_every_part(row):
    """The `dtype` argument of a layer, not the global policy, is that of all layers inside it."""
    layer = row.factory(dtype="mixed_bfloat16")
    y = row.call(layer, row.input())
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    assert {part.dtype_policy.name for part in layer._flatten_layers()} == {"mixed_bfloat16"}
    copy = row.factory.func.from_config(layer.get_config())
    assert copy.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize("row", [row for row in LAYERS if "options" not in row.name], ids=named)
def test_float16_gradient_near_zero(row):
    """At 0 and at the smallest number of float16, whose square is 0, norms do not divide by 0."""
    keras.config.set_dtype_policy("mixed_float16")
    layer = row.factory()
    for x in (np.zeros_like(row.input()), np.full_like(row.input(), 6e-8)):
        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = row.call(layer, x, training=True)
            total = tf.reduce_sum(tf.cast(y, "float32"))
        gradients = tape.gradient(total, [x, *(w.value for w in layer.trainable_weights)])
        assert np.isfinite(y).all()
        assert all(np.isfinite(gradient).all() for gradient in gradients)
