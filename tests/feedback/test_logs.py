"""Logs of `fit` with a unit, schedules of its weight, and the detection of extractor collapse."""

import warnings

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.callbacks import CollapseWatch, FeedbackWeightSchedule
from encapnet_tf.layers import FeedbackAgreement
from tests.feedback.networks import data, network, sides

HOW = {
    "graph": {"jit_compile": False},
    "jit": {"jit_compile": True},
    "eager": {"run_eagerly": True},
    "two_steps_a_call": {"jit_compile": False, "steps_per_execution": 2},
}


@pytest.mark.parametrize("how", [pytest.param(how, marks=[pytest.mark.ci] if how != "graph" else []) for how in HOW])
def test_logs_weights_and_schedule(how):
    """One compiled model: the metric is logged in training only, its values are right, and a new weight acts at once.

    agreement = mean divergence over an epoch's steps; loss = the model's loss + weight * divergence.
    """
    model = network(weight=4.0, iterations=5)
    unit = model.get_layer("agreement")
    x, y = data(model, 16)
    higher, lower = (np.asarray(side) for side in sides(model, x))
    divergences = [float(unit.agreement(higher[i : i + 4], lower[i : i + 4], training=True)) for i in range(0, 16, 4)]
    divergence, mse = np.mean(divergences), np.mean((np.asarray(model(x)) - y) ** 2)
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"], **HOW[how])

    def fit(epochs=1, **options):
        return model.fit(x, y, batch_size=4, shuffle=False, epochs=epochs, verbose=0, **options).history

    history = fit(2, validation_data=(x, y))
    assert set(history) == {"loss", "mae", "agreement", "val_loss", "val_mae"}
    assert history["agreement"] == pytest.approx([divergence] * 2, rel=1e-4), "the mean starts anew each epoch"
    assert history["loss"] == pytest.approx([mse + 4 * divergence] * 2, rel=1e-4)
    evaluated = model.evaluate(x, y, return_dict=True, verbose=0)
    assert set(evaluated) == {"loss", "mae"}
    assert evaluated["loss"] == pytest.approx(mse, rel=1e-5)

    for weight in (7.0, 0.0):
        unit.weight = weight
        assert unit.weight == weight
        history = fit()
        assert set(history) == {"loss", "mae", "agreement"}
        assert history["loss"][0] == pytest.approx(mse + weight * divergence, rel=1e-4)
    history = fit(3, callbacks=[FeedbackWeightSchedule(lambda epoch: 2.0 * epoch)])
    assert history["loss"] == pytest.approx([mse + 2 * epoch * divergence for epoch in range(3)], rel=1e-4)
    assert unit.weight == 4.0
    if how != "two_steps_a_call":  # which steps on single batches are traced anew
        assert set(model.train_on_batch(x[:4], y[:4], return_dict=True)) == {"loss", "mae", "agreement"}
        assert set(model.test_on_batch(x, y, return_dict=True)) == {"loss", "mae"}


def test_several_units_are_logged_apart():
    inputs = keras.Input((6,))
    a = keras.layers.Dense(6, activation="relu")(inputs)
    b = keras.layers.Dense(6, activation="relu")(a)
    for name, lower in (("first", inputs), ("second", a)):
        b = en.layers.FeedbackAgreement(generator="conv", weight=1.0, name=name)([b, lower])
    model = keras.Model(inputs, b)
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    model(x, training=True)
    assert len(model.losses) == 2
    history = model.fit(x, x, verbose=0).history
    assert set(history) == {"loss", "first", "second"}
    assert history["first"] != history["second"]


def two_units(nested):
    """Return a model with units "inner" and "outer", the first inside a nested model or not."""
    inner = network(name="inner", weight=1.0)
    inputs = keras.Input((12,))
    x = inner(inputs) if nested else inner.output
    inputs = inputs if nested else inner.input
    x = en.layers.FeedbackAgreement(generator="conv", name="outer", weight=1.0)([keras.layers.Dense(3)(x), x])
    model = keras.Model(inputs, x)
    model.compile("sgd", "mse", run_eagerly=True)
    return model, inner.get_layer("inner"), model.get_layer("outer")


@pytest.mark.parametrize("nested", [False, True])
def test_weight_schedule_of_all_or_named_units(nested):
    model, inner, outer = two_units(nested)
    x, y = np.ones((4, 12), "float32"), np.ones((4, 3), "float32")
    model.fit(x, y, verbose=0, callbacks=[FeedbackWeightSchedule(lambda epoch: 5.0)])
    assert (inner.weight, outer.weight) == (5.0, 5.0)
    model.fit(x, y, verbose=0, callbacks=[FeedbackWeightSchedule(lambda epoch: 3.0, layers=["inner"])])
    assert (inner.weight, outer.weight) == (3.0, 5.0)


def test_weight_schedule_without_its_unit():
    model = network()
    model.compile("sgd", "mse")
    x, y = data(model)
    with pytest.raises(ValueError, match=r"no feedback agreement unit.*\['disagreement'\].*\['agreement'\]"):
        model.fit(x, y, verbose=0, callbacks=[FeedbackWeightSchedule(float, layers=["disagreement"])])
    bare = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    bare.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"no feedback agreement unit.*any.*none"):
        bare.fit(np.ones((2, 3)), np.ones((2, 2)), verbose=0, callbacks=[FeedbackWeightSchedule(float)])


def test_weight_must_be_finite():
    unit = network().get_layer("agreement")
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="weight must be a finite number"):
            unit.weight = value
    assert unit.weight == 10.0


@pytest.mark.ci
def test_training_lowers_the_divergence():
    """If the divergence is the only loss, the generator learns to recover the lower layer."""
    keras.utils.set_random_seed(3)
    model = network(weight=1.0, extractor=None)
    x, y = data(model, 32)
    model.get_layer("lower").trainable = False
    model.compile(keras.optimizers.Adam(0.03), "mse", loss_weights=0.0, run_eagerly=True)
    before = float(model.train_on_batch(x, y, return_dict=True)["agreement"])
    model.fit(np.tile(x, (40, 1)), np.tile(y, (40, 1)), batch_size=32, verbose=0)
    unit = model.get_layer("agreement")
    assert float(unit.agreement(*sides(model, x), training=True)) < 0.6 * before


@pytest.mark.ci
def test_jit_agrees_with_eager_steps():
    """Weights, moving statistics and logs, from equal initial weights."""
    states, logs = {}, {}
    for how in ("eager", "jit"):
        keras.utils.set_random_seed(5)
        model = network("even_map", epsilon=0.3, generator="capsule")
        model.compile(keras.optimizers.SGD(0.05), "mse", **HOW[how])
        x, y = data(model)
        logs[how] = [model.train_on_batch(x, y, return_dict=True) for _ in range(2)][-1]
        states[how] = [(variable.path, np.array(variable)) for variable in model.variables]
    for (path, plain), (_, jitted) in zip(states["eager"], states["jit"], strict=True):
        np.testing.assert_allclose(jitted, plain, rtol=1e-3, atol=1e-4, err_msg=path)
    assert logs["jit"].keys() == logs["eager"].keys() == {"loss", "agreement"}
    for name in logs["jit"]:
        assert float(logs["jit"][name]) == pytest.approx(float(logs["eager"][name]), rel=1e-3)


def model_with(extractor):
    inputs = keras.Input((6,))
    higher = keras.layers.Dense(5)(inputs)
    outputs = FeedbackAgreement(generator="conv", extractor=extractor, name="unit")([higher, inputs])
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)  # only moving statistics change
    return model


def collapsing():
    """Return an extractor that maps all inputs to nearly one direction."""
    return keras.layers.Dense(
        4, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3), bias_initializer="ones"
    )


def watched_fit(model, watch, epochs=2):
    x = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
    return model.fit(x, np.zeros(16), epochs=epochs, verbose=0, callbacks=[watch]).history


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(size=(12, 6)).astype("float32")


def test_a_collapsed_extractor_is_reported_once(images):
    watch = CollapseWatch(images)
    with pytest.warns(UserWarning, match="extractor of unit has collapsed") as messages:
        history = watched_fit(model_with(collapsing()), watch, epochs=3)
    assert len([warning for warning in messages if "collapsed" in str(warning.message)]) == 1
    assert watch.collapsed == {"unit": 1}
    assert history["unit_divergence"][0] < 0.01 * history["unit_raw_divergence"][0]
    assert history["unit_spread"][0] < 0.01 * history["unit_raw_spread"][0]
    assert history["unit_paired_mass"] == pytest.approx([1 / 12] * 3, rel=1e-2)  # of 12 images: a uniform plan


@pytest.mark.parametrize("extractor", ["conv", None])
def test_a_working_extractor_raises_no_warning(images, extractor):
    watch = CollapseWatch(images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        history = watched_fit(model_with(extractor), watch)
    assert not watch.collapsed
    assert len(history["unit_raw_divergence"]) == 2
    if extractor is None:  # the features are those before an extractor
        np.testing.assert_allclose(history["unit_divergence"], history["unit_raw_divergence"])


def test_diagnose_changes_no_variable(images):
    model = model_with("conv")
    unit = model.get_layer("unit")
    higher, lower = keras.Model(model.input, unit.input)(images)
    before = model.get_weights()
    values = unit.diagnose(higher, lower)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert values["divergence"] == pytest.approx(float(unit.agreement(higher, lower, training=True)), rel=1e-5)


def test_paired_mass():
    """The plan tells each image from the others where epsilon is small beside the costs between them."""
    points = 10 * np.eye(6, dtype="float32")
    for epsilon, expected in ((0.05, 1.0), (1e4, 1 / 6)):
        unit = FeedbackAgreement(generator=None, extractor=None, epsilon=epsilon, iterations=50)
        unit.build([(None, 6), (None, 6)])
        assert unit.diagnose(points + 0.1, points)["paired_mass"] == pytest.approx(expected, rel=1e-3)


def test_collapse_watch_without_units(images):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="no feedback agreement unit"):
        watched_fit(model, CollapseWatch(images))
