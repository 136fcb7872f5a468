"""Every layer and model, saved here, is loaded in a fresh process that imports nothing but the package."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from tests.core.conformance.reload_in_fresh_process import parts
from tests.core.conformance.rows import LAYERS_AND_MODELS, LOSSES, MODELS, UNITS, enliven

SCRIPT = Path(__file__).with_name("reload_in_fresh_process.py")
ROOT = Path(__file__).parents[3]


def fresh_environment():
    """The package is importable from the checkout, and nothing says so but the path."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def models_to_save():
    """Name -> (model, row): every row, the networks in mixed precision too, and one compiled with each loss."""
    made = {row.name: (row.model(), row) for row in LAYERS_AND_MODELS + UNITS}
    for row in LOSSES:
        model = MODELS[0].model()
        model.compile("sgd", row.factory())
        made[f"compiled_{row.name}"] = (model, MODELS[0])
    keras.config.set_dtype_policy("mixed_bfloat16")
    made |= {f"{row.name}_mixed": (row.model(), row) for row in MODELS}
    keras.config.set_dtype_policy("float32")
    return made


def test_reload_in_a_fresh_process(tmp_path):
    inputs, expected, dtypes = {}, {}, {}
    for name, (model, row) in models_to_save().items():
        inputs[name] = row.input()
        enliven(model, inputs[name]).save(tmp_path / f"{name}.keras")
        expected[name] = np.asarray(model(inputs[name], training=False), "float32")
        dtypes[name] = [layer.dtype_policy.name for layer in parts(model)]
    np.savez(tmp_path / "inputs.npz", **inputs)
    child = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], cwd=ROOT, env=fresh_environment(), capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr[-3000:]
    outputs = np.load(tmp_path / "outputs.npz")
    assert min(np.std(y) for y in expected.values()) > 0.01, "outputs that are all alike compare nothing"
    wrong = {
        name: float(np.abs(outputs[name] - y).max())
        for name, y in expected.items()
        if outputs[name].shape != y.shape or not np.abs(outputs[name] - y).max() <= 1e-6
    }
    assert not wrong, f"largest differences: {wrong}"
    assert {name: outputs[f"{name}:dtypes"].tolist() for name in dtypes} == dtypes
    assert {name for name in expected if outputs[f"{name}:compiled"]} == {f"compiled_{row.name}" for row in LOSSES}
