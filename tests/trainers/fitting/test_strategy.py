"""Where a run trains, what several replicas cannot do, and the settings of the step."""

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

TINY = {"num_capsules": 4, "depths": (0,), "capsule_dims": (2,), "strides": (2,), "routing": ("master",)}


def test_one_device_is_kerass_own_way():
    assert strategy.prepare(Config()) is None
    assert strategy.prepare(Config(strategy="one_device")) is None
    assert strategy.is_chief()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"batch_size": 63}, r"--batch_size=63 .* must be a multiple of 2"),
        ({"clip_norm": 1.0}, "clips each replica's gradient before they are summed"),
        ({"accumulate_steps": 2}, "cannot accumulate gradients across replicas"),
        ({"jit_compile": "true"}, "XLA cannot compile a step that exchanges gradients"),
    ],
    ids=str,
)
def test_what_replicas_cannot_do_is_refused_with_its_reason(settings, reason):
    strategy.refuse(Config(), 2)
    with pytest.raises(UserError, match=reason):
        strategy.refuse(replace(Config(), **settings), 2)


def test_devices_that_are_not_there():
    with pytest.raises(UserError, match=r"finds no GPU.*--replicas=2"):
        strategy.prepare(Config(strategy="mirrored"))
    with pytest.raises(
        UserError, match=r"goes with --strategy=mirrored. Received: --strategy=auto, which is one_device here"
    ):
        strategy.prepare(Config(replicas=2))
    with pytest.raises(UserError, match=r"Received: --strategy=one_device\."):
        strategy.prepare(Config(strategy="one_device", replicas=2))
    tf.config.list_logical_devices()
    with pytest.raises(UserError, match="has other devices already than 2"):
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
    assert strategy._workers() == 3


def trained(steps=2, **settings):
    """Weights of a tiny network before and after some steps on one batch, and the model."""
    config = resolve("digits", TINY | {"schedule": "constant", "optimizer": "adam"} | settings)
    keras.utils.set_random_seed(0)
    model = build(config, (8, 8, 1), 10)
    compile_model(model, config, 10)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 255, (32, 8, 8, 1)).astype("float32"), rng.integers(0, 10, 32)
    before = model.get_weights()
    size = 32 // steps
    logs = model.fit(x, y, batch_size=size, shuffle=False, verbose=0).history
    return before, model, logs


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision(precision):
    before, model, logs = trained(precision=precision)
    assert model.get_layer("stem").compute_dtype == precision
    assert model.get_layer("stem").variable_dtype == model.output.dtype == "float32"
    assert hasattr(model.optimizer, "inner_optimizer") == (precision == "float16")
    assert np.isfinite(logs["loss"]).all()
    assert changed(before, model)
    assert keras.config.dtype_policy().name == "float32"


def test_xla_compiles_the_whole_step_or_not():
    for setting in ("true", "false"):
        _, model, logs = trained(jit_compile=setting)
        assert model.jit_compile is (setting == "true")
        assert np.isfinite(logs["loss"]).all()


def changed(before, model):
    """Names of the weights that training changed, batch statistics left out."""
    pairs = zip(model.weights, before, model.get_weights(), strict=True)
    return [variable.path for variable, a, b in pairs if "moving" not in variable.path and (a != b).any()]


def test_accumulated_steps_make_one_update():
    before, model, _ = trained(steps=2, accumulate_steps=4)
    assert not changed(before, model)
    before, model, _ = trained(steps=4, accumulate_steps=4)
    assert len(changed(before, model)) > 5


def test_the_gradients_norm_is_clipped():
    assert trained(clip_norm=0.5)[1].optimizer.global_clipnorm == 0.5
    assert trained()[1].optimizer.global_clipnorm is None


def test_replica_settings_reach_the_layers():
    config = resolve("digits", TINY | {"synchronized": True, "sync_replicas": True, "feedback": "half"})
    model = build(config, (8, 8, 1), 10)
    assert model.synchronized
    assert model.get_layer("module1_feedback_half").sync_replicas
    assert model.get_layer("module1_feedback_half").synchronized
