"""Keras layers of the user as generator or extractor: gradients, saving, loading and moving statistics."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.layers import FeedbackAgreement
from tests.feedback.networks import Counting, Upscale, data, gradients, network, pooled_dense, sides

CHOICES = {
    "own_generator": lambda: {"generator": Upscale(4)},
    "own_extractor": lambda: {"extractor": pooled_dense()},
    "both": lambda: {"generator": Upscale(4), "extractor": pooled_dense()},
    "keras_layer": lambda: {"generator": keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same")},
    "functional": lambda: {"extractor": functional_extractor()},
}


def functional_extractor():
    inputs = keras.Input((8, 6, 4))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))


@pytest.mark.parametrize(("choice", "objective"), list(zip(CHOICES, ["minimize", "adversarial"] * 3, strict=False)))
def test_gradients(choice, objective):
    model = network("even_map", extractor_objective=objective, **CHOICES[choice]())
    unit = model.get_layer("agreement")
    value, inputs, weights = gradients(unit, *sides(model, data(model)[0]))
    assert np.isfinite(float(value))
    assert weights
    for gradient in [*inputs, *weights.values()]:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0 or np.ndim(gradient) == 1  # a bias before a BatchNorm has no effect


@pytest.mark.parametrize("choice", CHOICES)
def test_save_and_load(choice, tmp_path):
    model = network("even_map", **CHOICES[choice]())
    x, y = data(model)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = en.load_model(path)
    unit, copy = (m.get_layer("agreement") for m in (model, loaded))
    assert [v.shape for v in copy.weights] == [v.shape for v in unit.weights]
    for ours, theirs in zip(copy.weights, unit.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert type(copy.generator) is type(unit.generator)
    assert type(copy.extractor) is type(unit.extractor)
    np.testing.assert_array_equal(loaded(x, training=False), model(x, training=False))
    loaded.compile("adam", "mse", run_eagerly=True)
    history = loaded.fit(x, y, verbose=0).history
    assert set(history) == {"loss", "agreement"}
    assert np.isfinite(history["loss"]).all()


@pytest.mark.ci
def test_a_loaded_model_continues_training(tmp_path):
    """With optimizer, weights and lambda loaded, the next step is that of the original.

    A file does not hold the step counts of batch normalisation, so its momentum has to be the configured one by then.
    """
    model = network("even_map", weight=3.0)
    model.compile("adam", "mse", run_eagerly=True)
    x, y = data(model)
    model.fit(x, y, epochs=10, verbose=0)
    model.reset_metrics()  # which Keras 3.12 leaves to the caller
    model.get_layer("agreement").weight = 0.5
    model.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("agreement").weight == 0.5
    one, other = (m.train_on_batch(x, y, return_dict=True) for m in (model, loaded))
    assert one.keys() == other.keys()
    for name in one:
        assert float(other[name]) == pytest.approx(float(one[name]), rel=1e-5)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_weights_file(tmp_path):
    model, other = network("even_map"), network("even_map")
    model.save_weights(tmp_path / "all.weights.h5")
    other.load_weights(tmp_path / "all.weights.h5")
    for ours, theirs in zip(other.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_config_round_trip():
    options = {
        "weight": 2.0,
        "num_capsules": 3,
        "epsilon": 0.5,
        "iterations": 4,
        "cost": "euclidean",
        "debias": False,
        "differentiate_plan": True,
        "generator": None,
        "extractor": None,
        "divergence": "kl",
        "extractor_objective": "frozen",
        "solver": "plain",
        "relative_epsilon": True,
        "synchronized": True,
        "name": "unit",
    }
    unit = FeedbackAgreement(**options)
    config = unit.get_config()
    assert {key: config[key] for key in options} == options
    assert FeedbackAgreement.from_config(config).get_config() == config
    with_layer = FeedbackAgreement(extractor=keras.layers.Dense(3, name="mine"))
    copy = FeedbackAgreement.from_config(with_layer.get_config())
    copy.build([(None, 4, 4, 32), (None, 4, 4, 32)])
    assert isinstance(copy.extractor, keras.layers.Dense)
    assert copy.extractor is not with_layer._given_extractor


@pytest.mark.parametrize("objective", ["minimize", "adversarial", "frozen"])
def test_features_of_each_input_are_computed_once(objective):
    """Two calls a step: one for the generated map, one for the lower layer's."""
    extractor = Counting()
    model = network("even_map", extractor=extractor, extractor_objective=objective)
    extractor.calls = 0
    model(data(model)[0], training=True)
    assert extractor.calls == 2
    model(data(model)[0], training=False)
    assert extractor.calls == 2


@pytest.mark.parametrize("objective", ["minimize", "adversarial"])
def test_moving_statistics_are_updated_once_for_each_side(objective):
    """With momentum 0.5, a moving mean from 0 is m1 / 4 + m2 / 2 after batches of means m1 and m2."""
    norm = keras.layers.BatchNormalization(momentum=0.5)
    unit = FeedbackAgreement(generator=None, extractor=norm, extractor_objective=objective)
    rng = np.random.default_rng(0)
    higher, lower = rng.normal(size=(2, 16, 5)).astype("float32")
    unit([higher, lower], training=True)
    np.testing.assert_allclose(norm.moving_mean, higher.mean(0) / 4 + lower.mean(0) / 2, rtol=1e-4, atol=1e-6)
    unit([higher, lower], training=False)
    np.testing.assert_allclose(norm.moving_mean, higher.mean(0) / 4 + lower.mean(0) / 2, rtol=1e-4, atol=1e-6)


def test_statistics_of_the_generator_are_updated_once():
    norm = keras.layers.BatchNormalization(momentum=0.5)
    unit = FeedbackAgreement(generator=norm, extractor=None)
    higher, lower = np.random.default_rng(0).normal(size=(2, 16, 5)).astype("float32")
    unit([higher, lower], training=True)
    np.testing.assert_allclose(norm.moving_mean, higher.mean(0) / 2, rtol=1e-4, atol=1e-6)


def test_each_side_has_its_own_batch_statistics():
    """The lower layer's features do not depend on the generated map, as in the released implementation."""
    unit = FeedbackAgreement(generator=None, extractor=keras.layers.BatchNormalization(), cost="sqeuclidean")
    unit.build([(None, 5), (None, 5)])
    x = np.random.default_rng(0).normal(size=(16, 5)).astype("float32")
    # A scaled and shifted copy is the same set after each side is normalised by its own statistics.
    assert float(unit.agreement(7 * x + 3, x, training=True)) == pytest.approx(0, abs=1e-3)


def test_synchronized_reaches_the_batch_norms_inside():
    model = network("even_map", synchronized=True)
    unit = model.get_layer("agreement")
    norms = [
        layer
        for part in (unit.generator, unit.extractor)
        for layer in part.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 3
    assert all(norm.synchronized for norm in norms)
    unit.synchronized = False
    assert not any(norm.synchronized for norm in norms)
    assert unit.synchronized is False
