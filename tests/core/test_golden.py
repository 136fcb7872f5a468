"""Layers and NumPy reference equal the paper's released implementation on its recorded values (tests/data/*.npz)."""

from pathlib import Path

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.core.ops import numpy_reference

FILES = sorted((Path(__file__).parents[1] / "data").glob("*.npz"))
LAYERS = [path for path in FILES if path.stem.startswith(("capconv_core_", "module_", "capfc_"))]
NAMED = {"ids": lambda path: path.stem}


def weights_of(file):
    return {name.removeprefix("w/"): file[name] for name in file.files if name.startswith("w/")}


def error(ours, reference):
    """Relative error in the Frobenius norm."""
    ours, reference = np.float64(ours), np.float64(reference)
    return np.linalg.norm(ours - reference) / np.linalg.norm(reference)


def layer_for(path, file):
    """Return the layer whose values a file holds, from the file's name and shapes."""
    if path.stem.startswith("capfc_"):
        components, _, classes = file["w/weight"].shape
        return en.layers.CapFC(classes, components)
    capsules = int(file["groups"])
    components = file["y_eval_nhwc"].shape[-1] // capsules
    if path.stem.startswith("module_"):
        depth = sum(name.startswith("w/sub_conv.") and name.endswith("running_mean") for name in file.files)
        routing = path.stem.removeprefix("module_")
        if routing == "master_aide":
            depth //= 3  # the two branches and the output have a BatchNorm each
        return en.layers.CapConvModule(components, capsules, depth, strides=2, routing=routing, coefficients="cross")
    return en.layers.CapConv2D(
        components,
        capsules,
        kernel_size=int(file["kernel"]),
        strides=int(file["stride"]),
        coefficients=path.stem.split("_")[2],
        post_activation=False,
    )


def test_every_file_is_read():
    units = {path.stem for path in FILES if path.stem.startswith("feedback_")}  # read in tests/feedback
    routings = {path.stem for path in FILES if path.stem.startswith("routing_")}  # read in test_routing.py
    rest = {path.stem for path in FILES} - {path.stem for path in LAYERS} - units - routings
    assert rest == {"squash", "losses"}, "a new golden file needs a test here"
    assert len(LAYERS) >= 9


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("path", LAYERS, **NAMED)
def test_layer(path, mode):
    file = np.load(path)
    x = file["x_nhwc"]
    layer = layer_for(path, file)
    layer.build(x.shape)
    en.interop.load_official_state_dict(layer, weights_of(file))
    y = layer(x, training=mode == "train")
    reference = file["y"] if "y" in file.files else file[f"y_{mode}_nhwc"]
    assert error(y, reference) < 1e-5


@pytest.mark.parametrize("path", LAYERS, **NAMED)
def test_numpy_reference(path):
    """The reference that test_interop.py uses is right."""
    file = np.load(path)
    x, state = file["x_nhwc"], weights_of(file)
    if path.stem.startswith("capfc_"):
        y, expected = numpy_reference.cap_fc(x, state["weight"]), file["y"]
    elif path.stem.startswith("module_"):
        y, expected = numpy_reference.module(x, state, "", int(file["groups"])), file["y_eval_nhwc"]
    else:
        coefficients = path.stem.split("_")[2]
        y = numpy_reference.interaction(x, state, "", int(file["groups"]), int(file["stride"]), coefficients)
        expected = file["y_eval_nhwc"]
    assert error(y, expected) < 1e-5


def test_squash():
    file = np.load(FILES[-1].with_name("squash.npz"))
    assert error(en.ops.squash(file["x"]), file["y"]) < 1e-6
    assert error(numpy_reference.squash(file["x"]), file["y"]) < 1e-6


def test_losses():
    file = np.load(FILES[-1].with_name("losses.npz"))
    lengths, labels = keras.ops.convert_to_tensor(file["lengths"]), file["labels"]
    assert float(en.losses.MarginLoss()(labels, lengths)) == pytest.approx(float(file["margin"]), rel=1e-5)
    for margin, expected in zip(file["spread_m"], file["spread"], strict=True):
        assert float(en.losses.SpreadLoss(margin)(labels, lengths)) == pytest.approx(float(expected), rel=1e-5)
