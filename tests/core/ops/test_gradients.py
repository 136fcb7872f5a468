"""Every trainable weight gets a gradient, finite at ordinary and at all-zero input, with and without XLA."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from tests.core.conformance.rows import LAYERS, LAYERS_AND_MODELS, MODELS, enliven, named


def gradient_function(row, layer):
    """(x, training) -> outputs, then gradients of a random sum of the outputs by input and by trainable weights."""
    shape = row.call(layer, row.input()).shape
    cotangent = tf.constant(np.random.default_rng(3).normal(size=shape), tf.float32)

    def step(x, training=True):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = row.call(layer, x, training=training)
            loss = tf.reduce_sum(y * cotangent)
        gradients = tape.gradient(loss, [x, *(w.value for w in layer.trainable_weights)])
        assert None not in gradients, "a weight is not connected to the output"
        return [y, *gradients]

    return step


def finite(tensors):
    return all(np.isfinite(values).all() for values in tensors)


@pytest.mark.parametrize(
    "row", [*LAYERS, *MODELS[:2], *(pytest.param(row, marks=pytest.mark.ci) for row in MODELS[2:])], ids=named
)
def test_gradient(row):
    layer = row.factory()
    step = gradient_function(row, layer)
    x = tf.constant(row.input())
    assert finite(step(tf.zeros_like(x)))
    for weight in layer.trainable_weights:
        if weight.name == "routing_kernel":  # of zeros, through which no gradient passes
            weight.assign(np.random.default_rng(7).normal(size=weight.shape))
    _, of_input, *in_training = step(x)

    # In training a batch normalisation takes out whatever the bias before it adds, so the gradient of a bias is taken
    # in evaluation, where the running statistics stand still.
    enliven(layer, x)
    _, _, *in_evaluation = step(x, training=False)

    assert finite([of_input, *in_training, *in_evaluation])
    assert np.abs(of_input).max() > 1e-6
    for weight, trained, evaluated in zip(layer.trainable_weights, in_training, in_evaluation, strict=True):
        if weight.path.endswith("class_scores/bias"):
            continue  # it is added to the scores of all classes, and the softmax takes it out
        gradient = evaluated if weight.name == "bias" else trained
        assert np.abs(gradient).max() > 1e-6, weight.path


# Under XLA the default suite takes one row of each kind of arithmetic; continuous integration takes all.
REPRESENTATIVE = ("dynamic_routing",)


def rows_under_xla(rows):
    """Return parameters for tests that compile: representative rows unmarked, the others `ci` or `slow`."""
    marks = {row.name: [] if row.name in REPRESENTATIVE else [pytest.mark.ci] for row in rows}
    marks |= {row.name: [pytest.mark.slow] for row in rows if row.slow_xla}
    return [pytest.param(row, id=row.name, marks=marks[row.name]) for row in rows]


@pytest.mark.parametrize("row", rows_under_xla(LAYERS_AND_MODELS))
def test_gradient_under_xla(row):
    layer = row.factory()
    step = gradient_function(row, layer)
    compiled = tf.function(step, jit_compile=True)
    x = tf.constant(row.input())
    weights = layer.get_weights()
    plain = [*step(x), *layer.get_weights()]  # The running statistics too.
    layer.set_weights(weights)
    with_xla = [*compiled(x), *layer.get_weights()]
    scale = max(np.abs(values).max() for values in plain)
    for expected, values in zip(plain, with_xla, strict=True):
        np.testing.assert_allclose(values, expected, atol=1e-4 * scale)
    assert finite(with_xla)
    assert finite(compiled(tf.zeros_like(x)))


@pytest.mark.slow
@pytest.mark.parametrize("row", MODELS, ids=named)
def test_jit_compiled_training_step(row):
    """`fit` under XLA: the same loss, weights and predictions after one step as without."""
    x, y = row.input(), np.arange(3) % row.factory.args[1]
    model = row.model()
    weights = model.get_weights()
    results = []
    for jit_compile in (False, True):
        model.set_weights(weights)
        model.compile(keras.optimizers.SGD(0.1), en.losses.MarginLoss(), jit_compile=jit_compile)
        assert model.jit_compile is jit_compile
        loss = model.train_on_batch(x, y)
        results.append([np.asarray(loss), *model.get_weights(), model.predict_on_batch(x)])
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain, atol=1e-4)
