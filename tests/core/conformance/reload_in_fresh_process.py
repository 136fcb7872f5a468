"""Program of test_reload.py: loads saved models in a fresh process, with one import of the package.

Usage: python reload_in_fresh_process.py FOLDER. Reads the inputs `NAME:0`, `NAME:1`, ... of each `NAME.keras` from
`inputs.npz`. Writes the outputs, the dtype policies and whether the model is compiled to `outputs.npz`.
"""

import sys
from pathlib import Path

import numpy as np

import encapnet_tf as en


def parts(model):
    """Return the layers of a model and those inside them, but inputs, whose dtype policy Keras does not save."""
    return [layer for layer in model._flatten_layers(include_self=False) if type(layer).__name__ != "InputLayer"]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    inputs = np.load(folder / "inputs.npz")
    outputs = {}
    for path in sorted(folder.glob("*.keras")):
        model = en.load_model(path)
        x = [inputs[f"{path.stem}:{i}"] for i in range(len(model.inputs))]
        outputs[path.stem] = np.asarray(model(x if len(x) > 1 else x[0], training=False), "float32")
        outputs[f"{path.stem}:dtypes"] = np.array([layer.dtype_policy.name for layer in parts(model)])
        outputs[f"{path.stem}:compiled"] = np.array(model.compiled)
    np.savez(folder / "outputs.npz", **outputs)
