"""What the extractor is trained for: to minimise the divergence, to maximise it, or not at all."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from encapnet_tf.layers import FeedbackAgreement
from tests.feedback.networks import data, gradients, network, sides

KIND_AND_JIT = [("even_map", False), ("features", True)]


def twin(kind, objective, **options):
    """Networks of the same weights, but for the objective."""
    keras.utils.set_random_seed(4)
    return network(kind, extractor_objective=objective, **options)


@pytest.mark.parametrize("divergence", ["sinkhorn", "kl"])
@pytest.mark.parametrize("kind", ["even_map", "doubled_tokens", "features"])
def test_adversarial_turns_the_extractors_gradient_only(kind, divergence):
    outcomes = {}
    for objective in ("minimize", "adversarial"):
        model = twin(kind, objective, divergence=divergence)
        unit = model.get_layer("agreement")
        value, inputs, weights = gradients(unit, *sides(model, data(model)[0]))
        own = {id(variable) for variable in unit.extractor.trainable_variables}
        is_own = [id(variable) in own for variable in unit.trainable_variables]
        outcomes[objective] = value, inputs, list(weights.values()), is_own
    (value, inputs, weights, is_own), (value_, inputs_, weights_, is_own_) = outcomes.values()
    assert float(value) == pytest.approx(float(value_), rel=1e-6)
    assert is_own == is_own_
    assert any(is_own)
    assert not all(is_own)
    for one, other in zip(inputs, inputs_, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-8)
    for one, other, extractor in zip(weights, weights_, is_own, strict=True):
        np.testing.assert_allclose(other, -one if extractor else one, rtol=1e-5, atol=1e-8)
    assert any(np.abs(one).max() > 1e-6 for one, extractor in zip(weights, is_own, strict=True) if extractor)


def steps(objective, count, jit=False, kind="features", learning_rate=0.01):
    """The divergence before and after training the unit's extractor alone."""
    model = twin(kind, objective, weight=1.0)
    unit = model.get_layer("agreement")
    for layer in model.layers:
        layer.trainable = layer is unit
    unit.generator.trainable = False
    model.compile(keras.optimizers.Adam(learning_rate), "mse", loss_weights=0.0, jit_compile=jit)
    x, y = data(model, 16)
    values = [float(model.train_on_batch(x, y, return_dict=True)["agreement"]) for _ in range(count)]
    return unit, values


@pytest.mark.parametrize(("kind", "jit"), KIND_AND_JIT)
def test_minimize_collapses_and_adversarial_does_not(kind, jit):
    """Measured of the reference: the extractor makes the divergence vanish by itself."""
    _, down = steps("minimize", 25, jit, kind)
    _, up = steps("adversarial", 25, jit, kind)
    assert up[0] == pytest.approx(down[0], rel=1e-4)
    assert down[-1] < 0.9 * down[0]
    assert up[-1] > 1.05 * up[0]


@pytest.mark.parametrize("jit", [False, True])
def test_frozen_extractor_does_not_move(jit):
    """Neither weights nor statistics; the generator and the network do."""
    model = twin("features", "frozen")
    unit = model.get_layer("agreement")
    assert not unit.extractor.trainable_variables
    before = [np.array(variable) for variable in unit.extractor.variables]
    generator = [np.array(variable) for variable in unit.generator.trainable_variables]
    lower = np.array(model.get_layer("lower").kernel)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
    x, y = data(model)
    for _ in range(2):
        model.train_on_batch(x, y)
    assert before
    for variable, old in zip(unit.extractor.variables, before, strict=True):
        np.testing.assert_array_equal(variable, old, err_msg=variable.path)
    assert any((old != np.asarray(new)).any() for old, new in zip(generator, unit.generator.variables, strict=False))
    assert (lower != np.asarray(model.get_layer("lower").kernel)).any()


def test_a_frozen_extractor_still_shows_the_network_the_way():
    model = twin("features", "frozen")
    unit = model.get_layer("agreement")
    _, inputs, _ = gradients(unit, *sides(model, data(model)[0]))
    assert all(np.abs(gradient).max() > 1e-6 for gradient in inputs)


def test_adversarial_updates_the_extractors_statistics():
    model = twin("features", "adversarial")
    unit = model.get_layer("agreement")
    before = [np.array(variable) for variable in unit.extractor.non_trainable_variables]
    model(data(model)[0], training=True)
    after = [np.array(variable) for variable in unit.extractor.non_trainable_variables]
    assert before
    assert all((old != new).any() for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_adversarial_in_other_precisions(policy):
    """The reversed weights are cast as the extractor's own would be."""
    keras.config.set_dtype_policy(policy)
    values = {}
    for objective in ("minimize", "adversarial"):
        model = twin("even_map", objective)
        unit = model.get_layer("agreement")
        values[objective], _, weights = gradients(unit, *sides(model, data(model)[0]))
        assert all(np.isfinite(gradient).all() for gradient in weights.values())
    assert float(values["adversarial"]) == pytest.approx(float(values["minimize"]), rel=1e-3)


def test_kl():
    """Batch mean of KL(softmax of the lower || softmax of the generated) over paired samples."""
    higher, lower = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")
    unit = FeedbackAgreement(generator=None, extractor=None, divergence="kl")
    unit.build([higher.shape, lower.shape])
    p, q = (np.exp(np.float64(z)) / np.exp(np.float64(z)).sum(1, keepdims=True) for z in (lower, higher))
    expected = np.mean(np.sum(p * np.log(p / q), axis=1))
    assert float(unit.agreement(higher, lower)) == pytest.approx(expected, rel=1e-5)
    swapped = np.mean(np.sum(q * np.log(q / p), axis=1))
    assert expected != pytest.approx(swapped, rel=1e-3), "the order is told apart"
    assert float(unit.agreement(lower, lower)) == pytest.approx(0, abs=1e-6)
    # Samples are paired, unlike in transport.
    assert float(unit.agreement(lower[::-1], lower)) > 0.1


def test_kl_of_far_apart_features_is_finite():
    higher = 1e4 * np.eye(4, dtype="float32")
    unit = FeedbackAgreement(generator=None, extractor=None, divergence="kl")
    unit.build([(4, 4), (4, 4)])
    value, inputs, _ = gradients(unit, higher, higher[::-1].copy())
    assert float(value) == pytest.approx(1e4, rel=1e-3)
    assert all(np.isfinite(gradient).all() for gradient in inputs)


def test_kl_works_in_float32():
    keras.config.set_dtype_policy("mixed_float16")
    model = network("even_map", divergence="kl")
    value, _, _ = gradients(model.get_layer("agreement"), *sides(model, data(model)[0]))
    assert value.dtype == tf.float32
