"""Program of test_jax_export.py: lowers training steps for CUDA with JAX, without a GPU.

Usage: KERAS_BACKEND=jax python export_for_cuda.py FOLDER. Reads `layers.keras`, prints JSON: name -> what was lowered.
"""

import json
import re
import sys
from pathlib import Path

import jax
import keras
import numpy as np

import encapnet_tf as en
from encapnet_tf.ops.convolution import choice

SMALL = {"depths": (0, 1), "capsule_dims": (2, 4), "strides": (1, 2), "num_capsules": 3}


def exported(model, loss, dtype="int32"):
    """Return a model's training step with gradients and update, lowered by JAX for CUDA.

    Args:
        model: with float32 inputs.
        loss: to compile with.
        dtype: of the labels: class indices, or numbers of the outputs' shape.
    """
    model.compile("adam", loss)
    model.optimizer.build(model.trainable_variables)
    groups = (model.trainable_variables, model.non_trainable_variables)
    groups += (model.optimizer.variables, model.metrics_variables)
    state = tuple([variable.value for variable in group] for group in groups)
    x = [np.zeros((4, *tensor.shape[1:]), "float32") for tensor in model.inputs]
    y = np.zeros((4, *model.output_shape[1:]) if dtype == "float32" else 4, dtype)
    step = jax.jit(model.train_step)
    return jax.export.export(step, platforms=["cuda"])(state, (x[0] if len(x) == 1 else tuple(x), y))


def summary(step):
    """Summarise a lowered step: its platforms, the functions of libraries that it calls, and its convolutions.

    These are (feature groups, batch groups): JAX writes the gradient of a grouped convolution with respect to its
    kernel as a convolution with batch groups.
    """
    text = step.mlir_module()
    groups = re.findall(r"stablehlo\.convolution.*?batch_group_count = (\d+).*?feature_group_count = (\d+)", text)
    return {
        "platforms": list(step.platforms),
        "calls": sorted(set(re.findall(r"custom_call @([\w.]+)", text))),
        "groups": sorted({(int(features), int(batch)) for batch, features in groups}),
        "precise products": len(re.findall(r"stablehlo\.dot_general.*?precision = \[HIGHEST, HIGHEST\]", text)),
        "dtypes": sorted(set(re.findall(r"convolution.*-> tensor<(?:\d+x)*(\w+)>", text))),
    }


def main(folder):
    choice.default_device = lambda: "gpu"  # the steps are those of a machine with a GPU
    margin, spread = en.losses.MarginLoss(), en.losses.SpreadLoss(0.2)
    networks = {
        "encapnet18 master": (en.models.EncapNet18(routing="master"), margin),
        "encapnet18 master_aide": (en.models.EncapNet18(routing="master_aide"), margin),
        "capnet dynamic": (en.models.CapNet((16, 14, 3), 3, routing="dynamic", num_capsules=2), spread),
        "capnet em": (en.models.CapNet((16, 14, 3), 3, routing="em", num_capsules=2), spread),
    }
    steps = {name: exported(model, loss) for name, (model, loss) in networks.items()}
    steps["layers"] = exported(en.load_model(folder / "layers.keras"), "mse", "float32")
    keras.config.set_dtype_policy("mixed_bfloat16")
    steps["bfloat16"] = exported(en.models.EncapNet((8, 6, 3), 3, **SMALL, routing="master", feedback="half"), margin)
    print(json.dumps({name: summary(step) for name, step in steps.items()}))
    print(f"tensorflow loaded: {'tensorflow' in sys.modules}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
