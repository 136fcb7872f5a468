"""Objectives of the extractor (minimise, maximise, frozen), divergences of pairs, and the held lower layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from encapnet_tf.layers import FeedbackAgreement
from tests.feedback.networks import data, gradients, network, sides

EAGER, JIT = {"run_eagerly": True}, {"jit_compile": True}


def twin(kind, objective, **options):
    """Build networks of equal weights for different objectives."""
    keras.utils.set_random_seed(4)
    return network(kind, extractor_objective=objective, **options)


@pytest.mark.parametrize(
    ("kind", "divergence"), [("even_map", "sinkhorn"), ("doubled_tokens", "kl"), ("features", "paired")]
)
def test_adversarial_reverses_the_extractors_gradient_only(kind, divergence):
    outcomes = {}
    for objective in ("minimize", "adversarial"):
        model = twin(kind, objective, divergence=divergence)
        unit = model.get_layer("agreement")
        value, inputs, weights = gradients(unit, *sides(model, data(model)[0]))
        of_extractor = {id(variable) for variable in unit.extractor.trainable_variables}
        in_extractor = [id(variable) in of_extractor for variable in unit.trainable_variables]
        outcomes[objective] = value, inputs, list(weights.values()), in_extractor
    (value, inputs, weights, in_extractor), (value_, inputs_, weights_, in_extractor_) = outcomes.values()
    assert float(value) == pytest.approx(float(value_), rel=1e-6)
    assert in_extractor == in_extractor_
    assert any(in_extractor)
    assert not all(in_extractor)
    for one, other in zip(inputs, inputs_, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-8)
    for one, other, reverse in zip(weights, weights_, in_extractor, strict=True):
        np.testing.assert_allclose(other, -one if reverse else one, rtol=1e-5, atol=1e-8)
    assert any(np.abs(one).max() > 1e-6 for one, reverse in zip(weights, in_extractor, strict=True) if reverse)


def divergences(objective, count, kind, how):
    """Return the divergence of each of `count` steps that train the unit's extractor alone."""
    model = twin(kind, objective, weight=1.0)
    unit = model.get_layer("agreement")
    for layer in model.layers:
        layer.trainable = layer is unit
    unit.generator.trainable = False
    model.compile(keras.optimizers.Adam(0.01), "mse", loss_weights=0.0, **how)
    x, y = data(model, 16)
    return [float(model.train_on_batch(x, y, return_dict=True)["agreement"]) for _ in range(count)]


@pytest.mark.ci
@pytest.mark.parametrize(("kind", "how"), [("even_map", EAGER), ("features", JIT)], ids=str)
def test_minimize_collapses_and_adversarial_does_not(kind, how):
    """The extractor of the released implementation makes the divergence vanish by itself."""
    down = divergences("minimize", 25, kind, EAGER)
    up = divergences("adversarial", 25, kind, how)
    assert up[0] == pytest.approx(down[0], rel=1e-4)
    assert down[-1] < 0.9 * down[0]
    assert up[-1] > 1.05 * up[0]


def test_frozen_extractor_does_not_change():
    """Neither its weights nor its moving statistics; those of the generator and the network do."""
    model = twin("features", "frozen")
    unit = model.get_layer("agreement")
    assert not unit.extractor.trainable_variables
    before = [np.array(variable) for variable in unit.extractor.variables]
    generator = [np.array(variable) for variable in unit.generator.trainable_variables]
    lower = np.array(model.get_layer("lower").kernel)
    model.compile(keras.optimizers.SGD(0.1), "mse", **JIT)
    x, y = data(model)
    for _ in range(2):
        model.train_on_batch(x, y)
    assert before
    for variable, old in zip(unit.extractor.variables, before, strict=True):
        np.testing.assert_array_equal(variable, old, err_msg=variable.path)
    assert any((old != np.asarray(new)).any() for old, new in zip(generator, unit.generator.variables, strict=False))
    assert (lower != np.asarray(model.get_layer("lower").kernel)).any()


def test_gradients_pass_a_frozen_extractor():
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


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_adversarial_in_other_precisions(policy):
    """Weights with reversed gradients are cast as the extractor's weights are."""
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
    assert expected != pytest.approx(swapped, rel=1e-3), "the order matters"
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


@pytest.mark.parametrize("path", ["model", "unit"])
@pytest.mark.parametrize("extractor", ["conv", None])
def test_frozen_stays_frozen(path, extractor):
    """Also when a model is frozen and unfrozen for fine-tuning; the generator is unfrozen."""
    model = network("features", extractor_objective="frozen", extractor=extractor)
    unit = model.get_layer("agreement")
    before = [variable.path for variable in unit.trainable_variables]
    frozen = model if path == "model" else unit
    frozen.trainable = False
    assert not unit.trainable
    assert not unit.trainable_variables
    frozen.trainable = True
    assert unit.trainable
    assert [variable.path for variable in unit.trainable_variables] == before
    assert len(before) == len(unit.generator.trainable_variables)


@pytest.mark.parametrize(("kind", "extractor"), [("same_tokens", None), ("even_map", "wide")])
def test_paired_divergence(kind, extractor):
    """It is the mean of 1 - cos between the features of the same sample; samples in another order change it."""
    model = network(kind, divergence="paired", extractor=extractor)
    unit = model.get_layer("agreement")
    higher, lower = sides(model, data(model)[0])
    features = [unit.generator(higher, training=True), lower]
    if extractor:
        features = [unit.extractor(x, training=True) for x in features]
    one, other = (np.reshape(x, (len(x), -1)).astype("float64") for x in features)
    cosines = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    value, inputs, _ = gradients(unit, higher, lower)
    assert float(value) == pytest.approx(1 - cosines.mean(), rel=1e-5)
    assert all(np.abs(gradient).max() > 0 for gradient in inputs)
    assert float(unit.agreement(higher, lower[::-1], training=True)) != pytest.approx(float(value), rel=1e-3)


@pytest.mark.parametrize("divergence", ["sinkhorn", "paired", "kl"])
def test_target_gradient(divergence):
    """Without it the lower layer is held, and nothing else changes: neither the value nor the other gradients."""
    outcomes = []
    for target_gradient in (True, False):
        model = twin("features", "minimize", divergence=divergence, target_gradient=target_gradient)
        unit = model.get_layer("agreement")
        assert unit.get_config()["target_gradient"] is target_gradient
        outcomes.append(gradients(unit, *sides(model, data(model)[0])))
    (value, inputs, weights), (value_, inputs_, weights_) = outcomes
    assert float(value) == pytest.approx(float(value_), rel=1e-6)
    assert np.abs(inputs[1]).max() > 0
    assert inputs_[1] is None
    np.testing.assert_allclose(inputs_[0], inputs[0], rtol=1e-5, atol=1e-8)
    for name, weight in weights.items():
        np.testing.assert_allclose(weights_[name], weight, rtol=1e-5, atol=1e-8)
