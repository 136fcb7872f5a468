"""Run by test_reload.py in a process of its own: loads what the parent saved, with this one import of the package.

Usage: python reload_in_fresh_process.py FOLDER. For each `NAME.keras` reads the input from `inputs.npz`; the outputs,
the dtype policies and whether the model came compiled go to `outputs.npz`.
"""

import sys
from pathlib import Path

import numpy as np

import encapnet_tf as en


def parts(model):
    """Its layers and those inside them; Keras itself keeps no dtype policy of a model and of its input."""
    return [layer for layer in model._flatten_layers(include_self=False) if type(layer).__name__ != "InputLayer"]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    inputs = np.load(folder / "inputs.npz")
    outputs = {}
    for path in sorted(folder.glob("*.keras")):
        model = en.load_model(path)
        outputs[path.stem] = np.asarray(model(inputs[path.stem], training=False), "float32")
        outputs[f"{path.stem}:dtypes"] = np.array([layer.dtype_policy.name for layer in parts(model)])
        outputs[f"{path.stem}:compiled"] = np.array(model.compiled)
    np.savez(folder / "outputs.npz", **outputs)
