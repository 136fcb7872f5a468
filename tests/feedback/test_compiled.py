"""Compiled models: attached, stripped and loaded models take a loss, metric or optimizer that nobody registered."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.feedback.test_attach import dense, samples, sequential


class OwnLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


class ArgumentLoss(OwnLoss):
    """Loss that cannot be created from its configuration."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale


class OwnMetric(keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(keras.ops.mean(keras.ops.abs(y_true - y_pred)))


class ArgumentMetric(OwnMetric):
    """Metric that cannot be created from its configuration."""

    def __init__(self, scale):
        super().__init__(name="argument_metric")


class OwnOptimizer(keras.optimizers.SGD):
    pass


class ArgumentOptimizer(keras.optimizers.SGD):
    """Optimizer that cannot be created from its configuration."""

    def __init__(self, scale):
        super().__init__(0.1)


class OwnSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.125

    def get_config(self):
        return {}


def own_function(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


COMPILATIONS = {
    "loss": lambda: {"loss": OwnLoss()},
    "loss without configuration": lambda: {"loss": ArgumentLoss(2)},
    "function": lambda: {"loss": own_function},
    "lambda": lambda: {"loss": lambda y_true, y_pred: own_function(y_true, y_pred)},
    "wrapped function": lambda: {"loss": keras.losses.MeanSquaredError(), "metrics": [own_function]},
    "metrics": lambda: {"loss": "mse", "metrics": [OwnMetric(name="own"), "mae"], "weighted_metrics": ["mse"]},
    "metric without configuration": lambda: {"loss": "mse", "metrics": [ArgumentMetric(2)]},
    "by output": lambda: {"loss": {"out": OwnLoss()}, "loss_weights": {"out": 0.5}, "metrics": {"out": [OwnMetric()]}},
    "optimizer": lambda: {"loss": "mse", "optimizer": OwnOptimizer(0.125)},
    "schedule": lambda: {"loss": "mse", "optimizer": keras.optimizers.SGD(OwnSchedule())},
    "scaled": lambda: {"loss": "mse", "optimizer": keras.optimizers.LossScaleOptimizer(OwnOptimizer(OwnSchedule()))},
}


QUICK = [("loss", dense), ("scaled", dense), ("metrics", sequential)]
REST = [*((name, dense) for name in COMPILATIONS if name not in ("loss", "scaled")), ("optimizer", sequential)]


@pytest.mark.parametrize(("name", "make"), [*QUICK, *(pytest.param(*row, marks=pytest.mark.ci) for row in REST)])
def test_objects_that_are_not_registered(name, make):
    model = make()
    model.compile(**{"optimizer": keras.optimizers.SGD(0.125), **COMPILATIONS[name]()}, run_eagerly=True)
    x, y = samples(model)
    expected = model.evaluate(x, y, return_dict=True, verbose=0)
    regularised = en.attach_feedback(model, [("mid", "low")])
    stripped = en.strip_feedback(regularised)
    for copy in (regularised, stripped):
        assert copy.optimizer is not model.optimizer
        assert type(copy.optimizer) is type(model.optimizer)
        assert float(copy.optimizer.learning_rate) == 0.125
        assert copy.evaluate(x, y, return_dict=True, verbose=0) == pytest.approx(expected)
    assert set(regularised.train_on_batch(x, y, return_dict=True)) == {*expected, "feedback_mid_low"}
    assert set(stripped.train_on_batch(x, y, return_dict=True)) == set(expected)


def test_an_optimizer_that_cannot_be_copied():
    model = dense()
    model.compile(ArgumentOptimizer(2), "mse")
    with pytest.warns(UserWarning, match=r"dense_net is returned uncompiled.*Compile it before"):
        regularised = en.attach_feedback(model, [("mid", "low")])
    assert not regularised.compiled
    assert model.compiled
    regularised.compile(ArgumentOptimizer(2), "mse", run_eagerly=True)
    regularised.train_on_batch(*samples(model))


def test_keras_loses_what_is_not_registered():
    """The reason for `compile_arguments`: if this passes one day, Keras's public configuration is enough."""
    model = dense()
    model.compile("sgd", OwnLoss())
    with pytest.raises(TypeError, match="Could not locate"):
        keras.models.clone_model(model, model.input, clone_function=lambda layer: layer)


def test_a_class_with_its_own_training_step():
    class Doubled(keras.Model):
        def train_step(self, data):
            return {**super().train_step(data), "doubled": 2.0}

    inputs = keras.Input((10,), name="low")
    model = Doubled(inputs, keras.layers.Dense(2, name="mid")(inputs))
    model.compile("sgd", OwnLoss(), run_eagerly=True)
    regularised = en.attach_feedback(model, [("mid", "low")])
    assert regularised.output_names == ["mid"]
    x, y = samples(model)
    for copy in (regularised, en.strip_feedback(regularised)):
        assert copy.train_on_batch(x, y, return_dict=True)["doubled"] == 2.0


@pytest.mark.parametrize("later", ["float32", "mixed_float16"])
def test_the_loss_is_scaled_where_the_model_is_in_half_precision(later):
    """Whatever the default policy is when the units are attached, as after a model was loaded."""
    keras.config.set_dtype_policy("mixed_float16")
    model = dense()
    model.compile("sgd", "mse", run_eagerly=True)
    keras.config.set_dtype_policy(later)
    for make in (lambda: en.attach_feedback(model, [("mid", "low")]), lambda: en.strip_feedback(model)):
        copy = make()
        assert isinstance(copy.optimizer, keras.optimizers.LossScaleOptimizer)
        assert np.isfinite(copy.train_on_batch(*samples(model), return_dict=True)["loss"])


def test_a_file_with_objects_that_are_not_registered(tmp_path):
    """After a step of training: loaded without them, stripped, and equal to the plain model bit for bit."""
    model = dense()
    regularised = en.attach_feedback(model, [("mid", "low"), ("out", "in")])
    regularised.compile(OwnOptimizer(0.1), OwnLoss(), metrics=[OwnMetric()], run_eagerly=True)
    x, y = samples(model)
    regularised.fit(x, y, verbose=0)
    regularised.save(tmp_path / "own.keras")
    with pytest.raises(ValueError, match=r"own\.keras.*custom_objects=\{name: class\}.*compile=False"):
        en.load_model(tmp_path / "own.keras")
    stripped = en.strip_feedback(en.load_model(tmp_path / "own.keras", compile=False))
    np.testing.assert_array_equal(stripped.predict(x, verbose=0), model.predict(x, verbose=0))
    known = {cls.__name__: cls for cls in (OwnOptimizer, OwnLoss, OwnMetric)}
    loaded = en.load_model(tmp_path / "own.keras", custom_objects=known)
    assert isinstance(loaded.optimizer, OwnOptimizer)
    assert isinstance(en.strip_feedback(loaded).optimizer, OwnOptimizer)
