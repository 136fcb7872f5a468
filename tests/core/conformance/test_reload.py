"""Reload of every saved layer and model in a fresh process that imports the package only."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from encapnet_tf.layers import CapFC, CapsuleLength
from tests.core.conformance.reload_in_fresh_process import parts
from tests.core.conformance.rows import LAYERS, LOSSES, MODELS, UNITS, enliven, joined_layers

SCRIPT = Path(__file__).with_name("reload_in_fresh_process.py")
ROOT = Path(__file__).parents[3]


def fresh_environment():
    """Return an environment in which the package is importable from the checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def models_to_save():
    """Return name -> (model, inputs) of all layers, all networks, some in mixed precision, and all losses."""
    models = {"layers": (joined_layers(LAYERS + UNITS), [row.input() for row in LAYERS + UNITS])}
    models |= {row.name: (row.model(), row.input()) for row in MODELS}
    for row in LOSSES:
        model = keras.Sequential([keras.Input((5, 4)), CapFC(3, 4), CapsuleLength()])
        model.compile("sgd", row.factory())
        models[f"compiled_{row.name}"] = (model, np.random.default_rng(5).normal(size=(3, 5, 4)).astype("float32"))
    keras.config.set_dtype_policy("mixed_bfloat16")
    models["layers_mixed"] = (joined_layers(LAYERS), [row.input() for row in LAYERS])
    for row in MODELS:
        if row.name in ("encapnet", "capnet_em", "resnet20"):
            models[f"{row.name}_mixed"] = (row.model(), row.input())
    keras.config.set_dtype_policy("float32")
    return models


@pytest.mark.ci
def test_reload_in_a_fresh_process(tmp_path):
    inputs, expected, dtypes = {}, {}, {}
    for name, (model, x) in models_to_save().items():
        for i, array in enumerate(x if isinstance(x, list) else [x]):
            inputs[f"{name}:{i}"] = array
        enliven(model, x).save(tmp_path / f"{name}.keras")
        expected[name] = np.asarray(model(x, training=False), "float32")
        dtypes[name] = [layer.dtype_policy.name for layer in parts(model)]
    np.savez(tmp_path / "inputs.npz", **inputs)
    child = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], cwd=ROOT, env=fresh_environment(), capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr[-3000:]
    outputs = np.load(tmp_path / "outputs.npz")
    assert min(np.std(y) for y in expected.values()) > 0.01, "a comparison of constant outputs shows nothing"
    differences = {
        name: float(np.abs(outputs[name] - y).max())
        for name, y in expected.items()
        if outputs[name].shape != y.shape or not np.abs(outputs[name] - y).max() <= 1e-6
    }
    assert not differences, f"largest differences: {differences}"
    assert {name: outputs[f"{name}:dtypes"].tolist() for name in dtypes} == dtypes
    assert {name for name in expected if outputs[f"{name}:compiled"]} == {f"compiled_{row.name}" for row in LOSSES}
