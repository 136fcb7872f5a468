"""CollapseWatch: tells an extractor that sees nothing from one that sees, and changes nothing by looking."""

import warnings

import keras
import numpy as np
import pytest

from encapnet_tf.callbacks import CollapseWatch
from encapnet_tf.layers import FeedbackAgreement


def model_with(extractor):
    inputs = keras.Input((6,))
    higher = keras.layers.Dense(5)(inputs)
    outputs = FeedbackAgreement(generator="conv", extractor=extractor, name="unit")([higher, inputs])
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    model.compile(keras.optimizers.SGD(0.0), "mse")  # nothing moves but the batch statistics of the steps
    return model


def collapsing():
    """Maps everything to nearly one direction."""
    return keras.layers.Dense(
        4, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3), bias_initializer="ones"
    )


def fit(model, watch, epochs=2):
    x = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
    return model.fit(x, np.zeros(16), epochs=epochs, verbose=0, callbacks=[watch]).history


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(size=(12, 6)).astype("float32")


def test_a_collapsed_extractor_is_told_once(images):
    watch = CollapseWatch(images)
    with pytest.warns(UserWarning, match="extractor of unit has collapsed") as told:
        history = fit(model_with(collapsing()), watch, epochs=3)
    assert len([warning for warning in told if "collapsed" in str(warning.message)]) == 1
    assert watch.collapsed == {"unit": 1}
    assert history["unit_divergence"][0] < 0.01 * history["unit_raw_divergence"][0]
    assert history["unit_spread"][0] < 0.01 * history["unit_raw_spread"][0]


@pytest.mark.parametrize("extractor", ["conv", None])
def test_one_that_sees_is_left_in_peace(images, extractor):
    watch = CollapseWatch(images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = fit(model_with(extractor), watch)
    assert not watch.collapsed
    assert len(history["unit_raw_divergence"]) == 2
    if extractor is None:  # what it sees is the features themselves
        np.testing.assert_allclose(history["unit_divergence"], history["unit_raw_divergence"])


def test_looking_changes_nothing(images):
    model = model_with("conv")
    unit = model.get_layer("unit")
    higher, lower = keras.Model(model.input, unit.input)(images)
    before = model.get_weights()
    values = unit.diagnose(higher, lower)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert values["divergence"] == pytest.approx(float(unit.agreement(higher, lower, training=True)), rel=1e-5)


def test_a_model_without_units(images):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="no feedback agreement unit"):
        fit(model, CollapseWatch(images))
