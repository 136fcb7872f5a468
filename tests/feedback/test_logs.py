"""In fit: the unit's divergence under its own name, in training only; the loss, weighted; a weight that moves."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.callbacks import FeedbackWeightSchedule
from tests.feedback.networks import data, network, sides

HOW = {
    "graph": {"jit_compile": False},
    "jit": {"jit_compile": True},
    "eager": {"run_eagerly": True},
    "two_steps_a_call": {"jit_compile": False, "steps_per_execution": 2},
}


@pytest.fixture(params=HOW)
def how(request):
    return HOW[request.param]


@pytest.fixture(params=["graph", "jit"])
def compiled(request):
    return HOW[request.param]


@pytest.mark.parametrize("how", [HOW["graph"], HOW["jit"], HOW["eager"]], ids=str)
def test_metric_in_training_only(how):
    """Over several epochs with validation: later epochs run what earlier ones compiled."""
    model = network()
    model.compile("sgd", "mse", metrics=["mae"], **how)
    x, y = data(model, 16)
    history = model.fit(x, y, batch_size=4, epochs=3, validation_data=(x, y), verbose=0).history
    assert set(history) == {"loss", "mae", "agreement", "val_loss", "val_mae"}
    assert len(history["agreement"]) == 3
    assert all(value > 0 for value in history["agreement"])
    assert set(model.evaluate(x, y, return_dict=True, verbose=0)) == {"loss", "mae"}
    again = model.fit(x, y, batch_size=4, verbose=0).history
    assert set(again) == {"loss", "mae", "agreement"}
    assert set(model.train_on_batch(x, y, return_dict=True)) == {"loss", "mae", "agreement"}
    assert set(model.test_on_batch(x, y, return_dict=True)) == {"loss", "mae"}


def test_values_in_the_log(how):
    """agreement = mean divergence over the epoch's steps; loss = the model's loss + weight * divergence."""
    model = network(weight=4.0, iterations=5)
    x, y = data(model, 16)
    higher, lower = (np.asarray(side) for side in sides(model, x))
    unit = model.get_layer("agreement")
    divergences = [float(unit.agreement(higher[i : i + 4], lower[i : i + 4], training=True)) for i in range(0, 16, 4)]
    own_loss = np.mean((np.asarray(model(x)) - y) ** 2)
    model.compile(keras.optimizers.SGD(0.0), "mse", **how)
    history = model.fit(x, y, batch_size=4, shuffle=False, epochs=2, verbose=0).history
    for epoch in range(2):  # the mean starts anew each epoch
        assert history["agreement"][epoch] == pytest.approx(np.mean(divergences), rel=1e-4)
        assert history["loss"][epoch] == pytest.approx(own_loss + 4 * np.mean(divergences), rel=1e-4)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(own_loss, rel=1e-5)


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


def test_weight_is_settable_between_compiled_steps(compiled):
    model = network(weight=1.0)
    x, y = data(model)
    model.compile(keras.optimizers.SGD(0.0), "mse", **compiled)
    unit = model.get_layer("agreement")
    own = np.mean((np.asarray(model(x)) - y) ** 2)
    totals = {}
    for weight in (1.0, 7.0, 0.0):
        unit.weight = weight
        assert unit.weight == weight
        logs = model.fit(x, y, batch_size=8, verbose=0).history
        totals[weight] = logs["loss"][0]
        assert totals[weight] == pytest.approx(own + weight * logs["agreement"][0], rel=1e-4)
    assert totals[7.0] > totals[1.0] > totals[0.0]


def test_weight_schedule(compiled):
    model = network(weight=99.0)
    x, y = data(model)
    model.compile(keras.optimizers.SGD(0.0), "mse", **compiled)
    own = np.mean((np.asarray(model(x)) - y) ** 2)
    schedule = FeedbackWeightSchedule(lambda epoch: 2.0 * epoch)
    history = model.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[schedule]).history
    for epoch in range(3):
        assert history["loss"][epoch] == pytest.approx(own + 2 * epoch * history["agreement"][epoch], rel=1e-4)
    assert history["loss"][2] > history["loss"][1] > history["loss"][0] == pytest.approx(own, rel=1e-4)
    assert model.get_layer("agreement").weight == 4.0


def two_units(nested):
    """Units "inner" and "outer", the first inside a nested model if wished."""
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
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="weight must be a finite number"):
            unit.weight = wrong
    assert unit.weight == 10.0


def test_training_lowers_the_divergence():
    """What the loss is for: with weight only on the divergence, the generator learns the lower layer."""
    keras.utils.set_random_seed(3)
    model = network(weight=1.0, extractor=None)
    x, y = data(model, 32)
    model.get_layer("lower").trainable = False
    model.compile(keras.optimizers.Adam(0.03), "mse", loss_weights=0.0, jit_compile=False)
    before = float(model.train_on_batch(x, y, return_dict=True)["agreement"])
    model.fit(np.tile(x, (40, 1)), np.tile(y, (40, 1)), batch_size=32, verbose=0)
    unit = model.get_layer("agreement")
    assert float(unit.agreement(*sides(model, x), training=True)) < 0.6 * before


def test_jit_agrees_with_no_jit_after_a_step():
    """Weights, statistics and logs, from the same start."""
    states, logs = {}, {}
    for jit in (False, True):
        keras.utils.set_random_seed(5)
        model = network("even_map", epsilon=0.3, generator="capsule")
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=jit)
        x, y = data(model)
        logs[jit] = [model.train_on_batch(x, y, return_dict=True) for _ in range(2)][-1]
        states[jit] = [(variable.path, np.array(variable)) for variable in model.variables]
    for (path, plain), (_, jitted) in zip(states[False], states[True], strict=True):
        np.testing.assert_allclose(jitted, plain, rtol=1e-3, atol=1e-4, err_msg=path)
    assert logs[True].keys() == logs[False].keys() == {"loss", "agreement"}
    for name in logs[True]:
        assert float(logs[True][name]) == pytest.approx(float(logs[False][name]), rel=1e-3)
