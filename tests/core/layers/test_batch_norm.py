"""Batch normalisation: moving statistics in the first steps, and the step count beside the weights."""

import copy

import keras
import numpy as np
import pytest

from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.blocks.capsule_activation import CapsuleActivation
from encapnet_tf.blocks.step_counter import step_counts

STEPS = 12  # momentum 0.9 is reached in step 9


def batches(rng, shape, steps=STEPS):
    return rng.normal(0.5, 0.1, size=(steps, *shape)).astype("float32")


def expected_statistics(batches, axis=-1, momentum=0.9):
    """The statistics by the definition: step t keeps min(momentum, t / (t + 1))."""
    mean, variance = 0.0, 1.0
    for t, x in enumerate(np.moveaxis(batches.astype("float64"), axis if axis < 0 else axis + 1, -1)):
        keep, axes = min(momentum, t / (t + 1)), tuple(range(x.ndim - 1))
        mean, variance = mean * keep + x.mean(axes) * (1 - keep), variance * keep + x.var(axes) * (1 - keep)
    return mean, variance


def assert_statistics(norm, mean, variance, rtol=1e-4):
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_mean), mean, rtol=rtol)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(norm.moving_variance), variance, rtol=rtol)


def sequential(*layers, shape=(5, 4, 6), **options):
    model = keras.Sequential([keras.Input(shape), *layers])
    model.compile(keras.optimizers.SGD(0.0), "mse", **options)
    return model


def train(model, data):
    for x in data:
        model.train_on_batch(x, x)


@pytest.mark.parametrize(
    ("shape", "options", "fit"),
    [
        ((2, 5, 4, 6), {}, {}),  # TensorFlow's fused kernel
        ((2, 5, 4, 6), {}, {"jit_compile": True}),
        ((2, 5, 4, 6), {"axis": 1, "scale": False}, {}),
        ((2, 5, 4, 6), {"momentum": 0.5, "dtype": "mixed_float16"}, {"run_eagerly": True}),
        ((7, 6), {"center": False, "dtype": "float64"}, {}),
    ],
    ids=["fused", "jit_compile", "axis", "mixed_float16, eager", "features, float64"],
)
def test_the_first_steps_average_all_batches(rng, shape, options, fit):
    norm, data = BatchNorm(**options), batches(rng, shape)
    train(sequential(norm, shape=shape[1:], **fit), data)
    rtol = 3e-2 if "mixed_float16" in options.values() else 1e-4  # the inputs are rounded to half precision
    assert_statistics(norm, *expected_statistics(data, norm.axis, norm.momentum), rtol=rtol)
    assert int(norm.step_counter.state) == STEPS


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras synchronises on TensorFlow only")
@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (2, 16, 17, 6)], ids=["small map", "one compiled function"])
@pytest.mark.parametrize("synchronized", [False, True])
def test_the_first_steps_of_a_capsule_activation(rng, shape, synchronized):
    activation, data = CapsuleActivation(2, synchronized=synchronized), batches(rng, shape)
    train(sequential(activation, shape=shape[1:]), data)
    assert_statistics(activation.norm, *expected_statistics(data))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"scale": False, "momentum": 0.7}, {"dtype": "float16"}], ids=str)
def test_without_warm_up_it_is_keras_layer(rng, options, masked):
    shape = (4, 3, 6)
    if masked and "axis" in options:
        pytest.skip("a mask leaves out positions, and so needs the channels last")
    ours = BatchNorm(momentum_warmup=False, **options)
    theirs = keras.layers.BatchNormalization(**{"epsilon": 1e-5, "momentum": 0.9, **options})
    mask = rng.random(shape[:-1]) < 0.6 if masked else None
    for x in batches(rng, shape, 3):
        outputs = [layer(x, training=True, mask=mask) for layer in (ours, theirs)]
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, outputs), atol=2e-3 if "dtype" in options else 1e-4)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3 if "dtype" in options else 1e-5)


def test_networks_with_and_without_warm_up_in_one_process(rng):
    """The function that both share has other numbers of arguments."""
    momentum, data = 0.85, batches(rng, (2, 5, 4, 6), 3)
    constant, warm = BatchNorm(momentum=momentum, momentum_warmup=False), BatchNorm(momentum=momentum)
    for norm in (constant, warm):
        train(sequential(norm), data)
    assert_statistics(warm, *expected_statistics(data, momentum=momentum))
    expected = sum(0.15 * momentum ** (2 - t) * x.mean((0, 1, 2)) for t, x in enumerate(data))
    np.testing.assert_allclose(constant.moving_mean, expected, rtol=1e-4)


def test_the_count_is_a_variable_but_no_weight():
    norm = BatchNorm()
    norm.build((None, 6))
    assert [weight.name for weight in norm.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert norm.count_params() == 24
    assert {v.name for v in norm.non_trainable_variables} == {"moving_mean", "moving_variance", "training_steps"}
    assert "momentum_warmup" not in norm.get_config(), "earlier versions could not read the files"
    constant = BatchNorm.from_config(BatchNorm(momentum_warmup=False).get_config())
    assert not constant.momentum_warmup
    assert constant.get_config()["momentum_warmup"] is False


def test_no_step_is_counted_where_none_is_made(rng):
    model = sequential(BatchNorm())
    (x,) = batches(rng, (2, 5, 4, 6), 1)
    model(x), model(x, training=False), model.predict(x, verbose=0)
    model.trainable = False
    model(x, training=True)
    assert [int(count) for count in step_counts(model)] == [0]
    assert_statistics(model.layers[0], np.zeros(6), np.ones(6))


def test_a_layer_called_twice_averages_both_calls(rng):
    norm, (x, y) = BatchNorm(), batches(rng, (4, 6), 2)
    norm(x, training=True), norm(y, training=True)
    assert_statistics(norm, *expected_statistics(np.stack([x, y])))


@pytest.mark.parametrize("source", ["set_weights", "weights file", "model file", "copy", "clone"])
@pytest.mark.parametrize("steps", [0, 2], ids=["into a new model", "into a trained one"])
def test_weights_from_elsewhere_are_long_past_the_start(rng, tmp_path, source, steps):
    model, target, data = sequential(BatchNorm()), sequential(BatchNorm()), batches(rng, (2, 5, 4, 6), 4)
    train(model, data[:2])
    train(target, data[:steps])
    if source == "set_weights":
        target = target if not steps else sequential(BatchNorm())  # its count stays in a trained model
        target.set_weights(model.get_weights())
    elif source == "weights file":
        model.save_weights(tmp_path / "model.weights.h5")
        target.load_weights(tmp_path / "model.weights.h5")
    elif source == "model file":
        model.save(tmp_path / "model.keras")
        target = keras.saving.load_model(tmp_path / "model.keras")
    elif source == "copy":
        target = copy.deepcopy(model)
    else:
        target = keras.models.clone_model(model)
        target.set_weights(model.get_weights())
    norm = target.layers[0]
    mean, variance = norm.get_weights()[2:]
    norm(data[2], training=True)
    batch_mean, batch_variance = (f(data[2], axis=(0, 1, 2)) for f in (np.mean, np.var))
    assert_statistics(norm, 0.9 * mean + 0.1 * batch_mean, 0.9 * variance + 0.1 * batch_variance)


def test_initial_weights_begin_anew(rng, tmp_path):
    model, data = sequential(BatchNorm()), batches(rng, (2, 5, 4, 6), 5)
    initial = model.get_weights()
    model.save_weights(tmp_path / "model.weights.h5")
    for restart in (lambda: model.set_weights(initial), lambda: model.load_weights(tmp_path / "model.weights.h5")):
        train(model, data)
        restart()
        train(model, data[:2])
        assert_statistics(model.layers[0], *expected_statistics(data[:2]))
        restart()


def test_the_step_is_traced_once(rng, monkeypatch):
    """The count is a tensor, so that a compiled step serves all counts."""
    traces, update = [], BatchNorm.update_moving_statistics
    monkeypatch.setattr(
        BatchNorm, "update_moving_statistics", lambda self, *values: (traces.append(self), update(self, *values))
    )
    model, data = sequential(BatchNorm()), batches(rng, (2, 5, 4, 6), 3)
    train(model, data[:1])
    assert traces
    first = len(traces)
    train(model, data)
    if keras.backend.backend() != "torch":  # eager
        assert len(traces) == first
