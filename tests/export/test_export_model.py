"""`export_model`: any Keras classifier, with any images."""

import doctest
import importlib
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from encapnet_tf.export import export_model
from encapnet_tf.export.artefacts.export_folder import ExportFolder
from encapnet_tf.export.artefacts.variants import VARIANTS
from encapnet_tf.export.verification import parity
from encapnet_tf.trainers.data.sources.digits import load_digits
from encapnet_tf.trainers.runs.errors import UserError

import encapnet_tf as en

module = importlib.import_module("encapnet_tf.export.exporting")
images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), np.uint8)


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def tiny():
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])


@pytest.mark.ci
@pytest.mark.usefixtures("runtimes_in_this_process")
def test_example():
    report = []
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(export_model, globs=vars(module)):
        runner.run(example, out=report.append)
    assert runner.tries
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images": images.astype("float32")}, "images must be uint8"),
        ({"images": images[0]}, "images must be uint8"),
        ({"images": images[:0]}, "images must be uint8"),
        ({"images": images.repeat(3, axis=-1)}, r"of shape \(n, height, width, 1\)"),
        ({"calibration_images": images[0]}, "calibration_images must be uint8"),
        ({"labels": np.zeros(3)}, r"labels must be of shape \(4,\)"),
        ({"class_names": ["a", "b"]}, "Expected 3 class names"),
        ({"class_names": ["a", "b", "c\nd"]}, "Expected 3 class names"),
        ({"tflite": ["int4"]}, "int4"),
        ({"name": "a b"}, "letters, digits"),
        ({"folder": "exports[1]"}, r"reads no SavedModel from a path with '\['.*exports\[1\]"),
    ],
)
def test_wrong_arguments(wrong, message, tmp_path):
    arguments = {"images": images, "name": "tiny", "folder": tmp_path, **wrong}
    with pytest.raises(UserError, match=message):
        export_model(tiny(), **arguments)
    assert not list(tmp_path.rglob("saved_model"))


def test_without_litert(monkeypatch, tmp_path):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"\.\[export\]"):
        export_model(tiny(), images, name="tiny", folder=tmp_path)


@pytest.mark.ci
@pytest.mark.usefixtures("runtimes_in_this_process")
def test_a_miss_publishes_nothing(monkeypatch, tmp_path):
    path = export_model(tiny(), images, name="tiny", folder=tmp_path, tflite=())
    report = (path / "parity.json").read_text()
    monkeypatch.setitem(parity.TOLERANCES, "saved_model", -1.0)
    with pytest.raises(UserError, match="comparisons miss their limit") as error:
        export_model(tiny(), images, name="tiny", folder=tmp_path, tflite=())
    assert error.value.status == 1
    assert ExportFolder.versions(path) == [1]
    assert (path / "parity.json").read_text() == report
    refused = json.loads((path / "refused" / "parity.json").read_text())
    assert not refused["holds"]
    assert [row["what"] for row in refused["rows"] if not row["holds"]]
    assert not list(path.glob(".draft*"))


@pytest.mark.slow
def test_capnet_whole(tmp_path):
    """With dynamic routing; EM routing's rounding alone can pass LiteRT's limit (docs/export.md)."""
    whole(en.models.CapNet((8, 8, 1), num_capsules=4, include_rescaling=True), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        lambda **options: en.models.EncapNet6(num_capsules=4, feedback="half", **options),
        lambda **options: en.models.EncapNet18(num_capsules=8, routing="master", feedback="half", **options),
        lambda **options: en.models.ResNet18(**options),
    ],
    ids=["encapnet6", "encapnet18", "resnet18"],
)
def test_networks_whole(build, tmp_path):
    whole(build(input_shape=(8, 8, 1), include_rescaling=True), tmp_path)


@pytest.mark.slow
def test_mobilenet_whole(tmp_path):
    model = keras.applications.MobileNetV3Small(input_shape=(32, 32, 3), weights=None, classes=10)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8  # its own takes thousands of steps
    whole(en.attach_feedback(model, [("expanded_conv_2_add", "expanded_conv_1_project_bn")], weight=0.1), tmp_path, 8)


def whole(model, folder, epochs=4, tflite=tuple(VARIANTS)):
    """Train briefly on the digits and export with every check."""
    split = load_digits()
    size, channels = model.input_shape[1], model.input_shape[3]

    def pixels(part):
        larger = part.images.repeat(size // 8, axis=1).repeat(size // 8, axis=2)
        return larger.repeat(channels, axis=3)

    train, test = pixels(split.train), pixels(split.test)
    loss = en.losses.MarginLoss() if "length" in model.output_names[0] else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(train.astype("float32"), split.train.labels, batch_size=64, epochs=epochs, verbose=0)
    path = export_model(
        model, test, split.test.labels, name="whole", folder=folder, calibration_images=train[:200], tflite=tflite
    )
    report = json.loads((path / "parity.json").read_text())
    assert report["holds"]
    assert report["images"] == 360


@pytest.mark.parametrize("wrong", [np.full((2, 3, 4), np.nan, np.float32), np.zeros((2, 3, 5), np.float32)])
def test_a_wrong_output_that_is_not_the_first_is_a_miss(wrong):
    """Among the differences of all outputs, a NaN or another shape counts wherever it stands."""
    lengths = np.array([[0.1, 0.7, 0.2], [0.6, 0.1, 0.2]], np.float32)
    right = {"lengths": lengths, "capsules": np.zeros((2, 3, 4), np.float32), "label": lengths.argmax(axis=1)}
    comparison = parity.Parity.__new__(parity.Parity)  # without running a model
    comparison.samples = SimpleNamespace(accuracy=lambda scores: None)
    comparison.reference, comparison.rows = right, []
    assert comparison._compare("equal", [right], tolerance=1e-5, kilobytes=1.0).holds
    for tolerance in (1e-5, None):
        row = comparison._compare("wrong", [right | {"capsules": wrong}], tolerance=tolerance, kilobytes=1.0)
        assert not row.holds
        assert np.isnan(row.difference)
    assert not comparison.holds
