"""Devices of a run, settings that several replicas cannot follow, and settings of the training step."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.config.schema import Config
from encapnet_tf.trainers.fitting import strategy
from encapnet_tf.trainers.fitting.network import build, compile_model
from encapnet_tf.trainers.runs.errors import UserError

from encapnet_tf.keras_private import inner_layers

TINY = {"num_capsules": 4, "depths": (0,), "capsule_dims": (2,), "strides": (2,), "routing": ("master",)}


@pytest.mark.parametrize(("ema", "momentum"), [(0.99, 0.99), (0.5, 0.9), (0.0, 0.9)])
def test_statistics_are_averaged_over_as_many_steps_as_the_weights(ema, momentum):
    config = replace(Config(), model="encapnet", ema=ema, **TINY)
    model = build(config, (8, 8, 1), 10)
    compile_model(model, config, steps_per_epoch=1)
    norms = [layer for layer in inner_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) > sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    assert {norm.momentum for norm in norms} == {momentum}


def test_one_device_needs_no_strategy():
    assert strategy.prepare(Config()) is None
    assert strategy.prepare(Config(strategy="one_device")) is None
    assert strategy.is_chief()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"batch_size": 63}, r"--batch_size=63 .* must be a multiple of 2"),
        ({"clip_norm": 1.0}, "clips the gradient of each replica before their sum is taken"),
        ({"accumulate_steps": 2}, "cannot accumulate gradients across replicas"),
        ({"jit_compile": "true"}, "XLA cannot compile a step that exchanges gradients"),
    ],
    ids=str,
)
def test_settings_that_replicas_cannot_follow_are_refused_with_the_reason(settings, reason):
    strategy.check_replica_settings(Config(), 2)
    with pytest.raises(UserError, match=reason):
        strategy.check_replica_settings(replace(Config(), **settings), 2)


def test_deterministic_operations_are_switched_on(monkeypatch):
    calls = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: calls.append(True))
    for deterministic in (False, True):
        assert calls == []
        strategy.prepare(Config(deterministic=deterministic))
    assert calls == [True]


def test_devices_that_do_not_exist():
    with pytest.raises(UserError, match=r"finds no GPU.*--replicas=2"):
        strategy.prepare(Config(strategy="mirrored"))
    with pytest.raises(
        UserError, match=r"needs --strategy=mirrored. Received: --strategy=auto, which is one_device here"
    ):
        strategy.prepare(Config(replicas=2))
    with pytest.raises(UserError, match=r"Received: --strategy=one_device\."):
        strategy.prepare(Config(strategy="one_device", replicas=2))
    tf.config.list_logical_devices()
    with pytest.raises(UserError, match="has created its devices already, and they are not 2 parts"):
        strategy.prepare(Config(strategy="mirrored", replicas=2))


def test_workers_are_named_by_tf_config(monkeypatch):
    with pytest.raises(UserError, match="needs the environment variable TF_CONFIG"):
        strategy.prepare(Config(strategy="multi_worker"))
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(UserError, match="TF_CONFIG cannot be read"):
        strategy.prepare(Config())
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    assert not strategy.is_chief()
    cluster["cluster"]["chief"], cluster["task"] = ["c:1"], {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    assert not strategy.is_chief()
    assert strategy._worker_count() == 3


def compiled(**settings):
    config = resolve("digits", TINY | {"schedule": "constant", "optimizer": "adam"} | settings)
    keras.utils.set_random_seed(0)
    model = build(config, (8, 8, 1), 10)
    compile_model(model, config, 10)
    return model


def fit(model, steps=2):
    """Train some steps of 16 images; return the paths of the trained weights that changed, and the logs."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 255, (32, 8, 8, 1)).astype("float32"), rng.integers(0, 10, 32)
    before = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    logs = model.fit(x[: 16 * steps], y[: 16 * steps], batch_size=16, shuffle=False, verbose=0).history
    pairs = zip(model.trainable_variables, before, strict=True)
    return [v.path for v, old in pairs if (keras.ops.convert_to_numpy(v) != old).any()], logs


@pytest.mark.parametrize("precision", [pytest.param("bfloat16", marks=pytest.mark.ci), "float16"])
def test_mixed_precision(precision):
    model = compiled(precision=precision)
    assert keras.config.dtype_policy().name == "float32"
    changed, logs = fit(model)
    assert model.get_layer("stem").compute_dtype == precision
    assert model.get_layer("stem").variable_dtype == model.output.dtype == "float32"
    assert hasattr(model.optimizer, "inner_optimizer") == (precision == "float16")
    assert np.isfinite(logs["loss"]).all()
    assert changed


@pytest.mark.ci
def test_xla_compiles_the_whole_step_or_not():
    assert compiled(jit_compile="false").jit_compile is False
    model = compiled(jit_compile="true")
    assert model.jit_compile is True
    changed, logs = fit(model, steps=1)
    assert changed
    assert np.isfinite(logs["loss"]).all()


def test_accumulated_steps_make_one_update():
    model = compiled(accumulate_steps=4)
    assert not fit(model)[0]
    assert len(fit(model)[0]) > 5  # the fourth step


def test_the_gradients_norm_is_clipped():
    assert compiled(clip_norm=0.5).optimizer.global_clipnorm == 0.5
    assert compiled().optimizer.global_clipnorm is None


def test_replica_settings_reach_the_layers():
    config = resolve("digits", TINY | {"synchronized": True, "sync_replicas": True, "feedback": "half"})
    model = build(config, (8, 8, 1), 10)
    assert model.synchronized
    assert model.get_layer("module1_feedback_half").sync_replicas
    assert model.get_layer("module1_feedback_half").synchronized
