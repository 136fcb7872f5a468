"""Every kind of network: inference mode, no unit, nothing jitted, the same numbers as SavedModel and in LiteRT."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.export.artefacts.inference import inference_model, training_only_layers
from encapnet_tf.export.artefacts.lite import convert
from encapnet_tf.export.artefacts.preprocessing import Preprocessing
from encapnet_tf.export.artefacts.saved_model import save_model
from encapnet_tf.export.verification.contents import Contents
from encapnet_tf.export.verification.runtimes import LiteModel
from encapnet_tf.trainers.data.augmentation.views import Views
from encapnet_tf.trainers.runs.errors import UserError

import encapnet_tf as en
from encapnet_tf.ops.acceleration import on_tensorflow

pixels = {"input_shape": (8, 8, 1), "classes": 4, "include_rescaling": True}


def unit_names(model):
    units, _ = training_only_layers(model)
    return [unit.name for unit in units]


def augmented():
    """Build a model with augmentation and dropout inside, which must not act."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(keras.layers.RandomTranslation(0.5, 0.5)(inputs))
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(keras.layers.GaussianNoise(0.5)(x)))
    return keras.Model(inputs, keras.layers.Dense(4, "softmax")(x))


def mobile_net(feedback=True):
    model = keras.applications.MobileNetV3Small(input_shape=(32, 32, 3), weights=None, classes=4)
    pair = ("expanded_conv_2_add", "expanded_conv_1_project_bn")
    return en.attach_feedback(model, [pair]) if feedback else model


# Name -> function that builds the network, with feedback units if its argument is true.
NETWORKS = {
    "encapnet": lambda units: en.models.EncapNet(
        depths=(1,),
        capsule_dims=(2,),
        strides=(2,),
        num_capsules=4,
        feedback="two" if units else None,
        **pixels,
    ),
    "encapnet6": lambda units: en.models.EncapNet6(num_capsules=4, feedback="half" if units else None, **pixels),
    "encapnet18": lambda units: en.models.EncapNet18(
        depths=(1, 1, 1, 1), num_capsules=4, feedback="two" if units else None, **pixels
    ),
    "encapnet18 master": lambda units: en.models.EncapNet18(
        num_capsules=4, routing="master", feedback="half" if units else None, **pixels
    ),
    "capnet": lambda units: en.models.CapNet(num_capsules=4, feedback="half" if units else None, **pixels),
    "capnet em": lambda units: en.models.CapNet(num_capsules=4, routing="em", **pixels),
    "resnet18": lambda units: en.models.ResNet18(**pixels),
    "sabour": lambda units: en.models.SabourCapsNet(
        (18, 20, 1),
        4,
        num_capsules=2,
        filters=4,
        feedback="half" if units else None,
        include_rescaling=True,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.3),  # of small lengths its epsilon would be seen
    ),
    "efficient": lambda units: en.models.EfficientCapsNet(
        (12, 14, 1), 4, feedback="half" if units else None, include_rescaling=True
    ),
    "efficient smallnorb": lambda units: en.models.EfficientCapsNet(
        (24, 26, 2), 4, "smallnorb", feedback="half" if units else None, include_rescaling=True
    ),
    "inverted attention": lambda units: en.models.InvertedAttentionCapsNet(
        (18, 14, 1),
        4,
        2,
        4,
        [(2, 4, 3, 2), (3, 4)],
        4,
        filters=2,
        feedback="half" if units else None,
        include_rescaling=True,
    ),
    "self-routing": lambda units: en.models.SelfRoutingCapsNet(
        num_capsules=2, capsule_dim=4, depth=2, filters=4, blocks=1, feedback="half" if units else None, **pixels
    ),
    "mobilenet": mobile_net,
    "augmented": lambda units: augmented(),
}


def saved(model, path):
    inference = inference_model(model)
    height, width, channels = model.input_shape[1:]
    save_model(inference, Preprocessing((height, width), channels, Views((height, width))), [], path)
    return inference


SMALL = ("encapnet", "augmented")  # the others take seconds each
SOFTMAX = ("resnet18", "mobilenet", "augmented", "self-routing")  # networks without class capsules


def names(*choice):
    """Return names of networks as parameters, the large ones under the marker ci or slow."""
    marks = {"encapnet18": pytest.mark.slow}
    return [pytest.param(name, marks=[] if name in SMALL else marks.get(name, pytest.mark.ci)) for name in choice]


@pytest.mark.parametrize("name", names(*NETWORKS))
def test_exports(name, tmp_path):
    keras.utils.set_random_seed(1)
    model = NETWORKS[name](True)
    images = np.random.default_rng(0).integers(0, 256, (5, *model.input_shape[1:]), np.uint8)
    reference = model.predict(images.astype("float32"), verbose=0)
    inference = saved(model, tmp_path / "model")

    contents = Contents.of_saved_model(tmp_path / "model")
    contents.require_inference_only("it", unit_names(model))
    assert set(contents.variables) == {weight.path for weight in inference.weights}
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    for signature, batch in (("serving_default", images.astype("float32")), ("serve_uint8", images)):
        outputs = signatures[signature](images=tf.constant(batch))
        np.testing.assert_allclose(outputs["lengths"], reference, atol=1e-5, rtol=0)
        np.testing.assert_array_equal(outputs["label"], outputs["lengths"].numpy().argmax(axis=1))
    if "capsules" in outputs and name != "inverted attention":  # which scores them by a linear function
        np.testing.assert_allclose(np.linalg.norm(outputs["capsules"], axis=-1), reference, atol=1e-5, rtol=0)
    assert ("capsules" in outputs) == (name not in SOFTMAX)

    (tmp_path / "model.tflite").write_bytes(convert(inference, "float32", images))
    Contents.of_lite(tmp_path / "model.tflite").require_inference_only("it", unit_names(model))
    lite = LiteModel(tmp_path / "model.tflite")
    for count in (1, 3, 5):
        np.testing.assert_allclose(
            lite(images[:count].astype("float32"))["lengths"], reference[:count], atol=1e-4, rtol=0
        )


@pytest.mark.ci
@pytest.mark.parametrize("name", ["encapnet", "mobilenet"])
def test_smaller_by_exactly_the_units(name, tmp_path):
    """The export of a network with units is that of the same network built without: operation by operation."""
    with_units, without = NETWORKS[name](True), NETWORKS[name](False)
    assert unit_names(with_units)
    assert not unit_names(without)
    saved(with_units, tmp_path / "with")
    saved(without, tmp_path / "without")
    exports = [Contents.of_saved_model(tmp_path / folder) for folder in ("with", "without")]
    assert exports[0].operations == exports[1].operations
    assert exports[0].variables == exports[1].variables
    of_units = {weight.path for weight in with_units.weights} - set(exports[0].variables)
    assert of_units
    assert all(path.split("/")[0] in unit_names(with_units) for path in of_units)


def test_units_are_found_where_they_are_left(tmp_path):
    """The check is of the names that a unit's variables and operations have."""
    model = NETWORKS["encapnet"](True)
    outputs = keras.Model(model.inputs, {"lengths": model.output})  # not stripped
    save_model(outputs, Preprocessing((8, 8), 1, Views((8, 8))), [], tmp_path / "model")
    with pytest.raises(UserError, match="still holds layers that only training needs"):
        Contents.of_saved_model(tmp_path / "model").require_inference_only("The SavedModel", unit_names(model))


def test_nothing_is_jitted_where_there_is_a_gpu(tmp_path, monkeypatch):
    """There the network itself takes Keras's grouped convolution for large groups, which only XLA runs elsewhere."""
    monkeypatch.setattr(on_tensorflow, "has_gpu", lambda: True)
    model = NETWORKS["encapnet"](False)
    saved(model, tmp_path / "model")
    Contents.of_saved_model(tmp_path / "model").require_inference_only("it", [])


def test_a_jitted_function_is_refused(tmp_path):
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, groups=2)(inputs))
    inference = inference_model(keras.Model(inputs, x))
    save_model(inference, Preprocessing((8, 8), 4, Views((8, 8))), [], tmp_path / "model")
    with pytest.raises(UserError, match="only XLA runs"):
        Contents.of_saved_model(tmp_path / "model").require_inference_only("It", [])


@pytest.mark.parametrize(
    "model",
    [
        keras.Sequential([keras.layers.Dense(2)]),
        keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()]),
        keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]),
        keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3)]),
    ],
)
def test_other_models(model):
    with pytest.raises(UserError, match="one output"):
        inference_model(model)
