"""A whole exported run: its files, their parity and contents."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.export.commands.export import export_run
from encapnet_tf.export.serving import messages
from encapnet_tf.export.serving.warm_up import read_warm_up
from encapnet_tf.export.verification.contents import Contents
from encapnet_tf.export.verification.runtimes import LiteModel, openvino_model
from encapnet_tf.trainers.data.sources.digits import load_digits
from encapnet_tf.trainers.evaluation.model_and_data import model_and_data
from encapnet_tf.trainers.runs.errors import UserError

SIGNATURES = ("serving_default", "serve_uint8", "serve_bytes")


@pytest.fixture(scope="module")
def report(exported):
    return json.loads((exported.path / "parity.json").read_text())


@pytest.fixture(scope="module")
def rows(report):
    return {row["what"]: row for row in report["rows"]}


def test_everything_is_written(exported):
    names = {str(path.relative_to(exported.path)) for path in exported.path.rglob("*") if path.is_file()}
    assert names == {
        ".lock",
        "digits.tflite",
        "digits_float16.tflite",
        "digits_dynamic.tflite",
        "digits_int8.tflite",
        "labels.txt",
        "metadata.json",
        "model_card.md",
        "parity.json",
        "serving/compose.yaml",
        "serving/models.config",
        "saved_model/1/saved_model.pb",
        "saved_model/1/fingerprint.pb",
        "saved_model/1/variables/variables.index",
        "saved_model/1/variables/variables.data-00000-of-00001",
        "saved_model/1/assets/labels.txt",
        "saved_model/1/assets/metadata.json",
        "saved_model/1/assets.extra/tf_serving_warmup_requests",
    }
    for name in ("labels.txt", "metadata.json"):
        assert (exported.path / name).read_bytes() == (exported.path / "saved_model/1/assets" / name).read_bytes()
    assert (exported.path / "labels.txt").read_text().split() == list("0123456789")


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("loader", ["fresh process", "C API"])
def test_saved_model_is_the_model(report, rows, loader, signature):
    assert report["holds"]
    assert report["images"] == 360
    row = rows[f"SavedModel, {loader}, {signature}"]
    assert row["difference"] <= 1e-5
    assert row["agreement"] == 1
    assert row["accuracy"] == rows["Keras"]["accuracy"]


def test_lite_is_the_model(exported, rows):
    run = json.loads((exported.run / "summary.json").read_text())
    assert rows["Keras"]["accuracy"] == pytest.approx(run["test_accuracy"])
    assert rows["LiteRT float32"]["difference"] <= 1e-4
    for variant in ("float16", "dynamic", "int8"):
        row = rows[f"LiteRT {variant}"]
        assert row["accuracy"] >= rows["Keras"]["accuracy"] - 0.01
        assert row["milliseconds"] > 0
        assert row["kilobytes"] < rows["LiteRT float32"]["kilobytes"]


def test_integers_alone(exported):
    """Full-integer int8 of an EncapNet: convolutions, BN-ReLU-squash and lengths, nothing in float."""
    contents = Contents.of_lite(exported.path / "digits_int8.tflite")
    assert not contents.types & {"FLOAT32", "FLOAT16"}
    assert {"SQRT", "DIV", "CONV_2D"} <= set(contents.operations)
    assert not any("FLEX" in name.upper() for name in contents.operations)


def test_batch_sizes(exported):
    images = load_digits().test.images[:64]
    signatures = tf.saved_model.load(str(exported.path / "saved_model" / "1")).signatures
    lite = LiteModel(exported.path / "digits.tflite")
    expected = signatures["serve_uint8"](images=tf.constant(images))["lengths"]
    for batch in (1, 3, 64):
        inputs = images[:batch].astype("float32")
        for run in (lambda inputs: signatures["serving_default"](images=tf.constant(inputs)), lite):
            np.testing.assert_allclose(run(inputs)["lengths"], expected[:batch], atol=1e-4, rtol=0)


def test_openvino_agrees(exported, rows):
    pytest.importorskip("openvino")
    assert rows["SavedModel, OpenVINO"]["difference"] <= 1e-4
    images = load_digits().test.images[:3].astype("float32")
    assert openvino_model(exported.path / "saved_model" / "1")(images)["lengths"].shape == (3, 10)


def test_no_unit_in_any_artefact(exported, report):
    metadata = json.loads((exported.path / "metadata.json").read_text())
    assert metadata["feedback_units"] == ["module1_feedback_half"]
    assert metadata["parameters"]["feedback_units"] > 0
    assert metadata["parameters"]["decoder"] > 0
    assert metadata["parameters"]["trained"] == json.loads((exported.run / "summary.json").read_text())["parameters"]
    artefacts = [Contents.of_saved_model(exported.path / "saved_model" / "1")]
    artefacts += [Contents.of_lite(path) for path in exported.path.glob("*.tflite")]
    assert len(artefacts) == 5
    for contents in artefacts:
        assert not [name for name in (*contents.variables, *contents.nodes) if "feedback" in name.lower()]
        assert not contents.jitted
    listed = report["contents"]["saved_model"]["variables"]
    assert "class_capsules/kernel" in listed
    assert not any("feedback" in name for name in listed)


def test_warm_up_requests_are_answered(exported):
    path = exported.path / "saved_model" / "1"
    signatures = tf.saved_model.load(str(path)).signatures
    requests = read_warm_up(path)
    assert {signature for signature, _ in requests} == set(SIGNATURES)
    for signature, images in requests:
        assert len(signatures[signature](images=tf.constant(images))["lengths"]) == len(images)


def test_warm_up_requests_are_prediction_logs(exported):
    """The definitions of the messages are compared with TF Serving's own in test_messages."""
    records = tf.data.TFRecordDataset(str(exported.path / "saved_model/1/assets.extra/tf_serving_warmup_requests"))
    logs = [messages.PredictionLog.FromString(record.numpy()) for record in records]
    assert {log.predict_log.request.model_spec.name for log in logs} == {"digits"}
    assert {log.predict_log.request.model_spec.signature_name for log in logs} == set(SIGNATURES)
    for log in logs:
        assert tf.make_ndarray(log.predict_log.request.inputs["images"]).shape[0] in (1, 8)


def test_model_card(exported, rows):
    card = (exported.path / "model_card.md").read_text()
    for text in ("digits, version 1", "## Intended use", "10 classes", "8x8", "feedback units", '"num_capsules": 8'):
        assert text in card
    assert f"| {rows['LiteRT int8']['accuracy']:.2%} |" in card
    assert "MISS" not in card


def test_serving_files(exported):
    compose = (exported.path / "serving" / "compose.yaml").read_text()
    config = (exported.path / "serving" / "models.config").read_text()
    assert "../saved_model:/models/digits:ro" in compose
    assert 'base_path: "/models/digits"' in config


def test_other_data_changes_nothing_that_the_network_sees(exported, tmp_path):
    """A run with "++" crops the centre of enlarged images, whatever data it is compared on, unless overridden."""
    shutil.copytree(exported.run, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    config["config"] |= {"augment": ["++"], "image_size": 8}
    path.write_text(json.dumps(config))
    views = {"size": (8, 8), "enlarge": 40 / 32, "mirrors": False}
    for recipe, overrides in ((None, {}), ("digits", {}), ("digits", {"seed": 1})):
        _, dataset = model_and_data(tmp_path / "run", recipe, overrides)
        assert vars(dataset.views) == views
    _, dataset = model_and_data(tmp_path / "run", "digits", {"augment": ("none",)})
    assert dataset.views.enlarge == 1


def test_a_model_file_needs_data(exported, tmp_path):
    with pytest.raises(UserError, match="--recipe or --dataset"):
        export_run(exported.run / "best.keras", out=tmp_path, tflite=(), images=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "nowhere.keras", "recipe": "digits"}, "no model"),
        ({"path": "runs/digts/1"}, "There is no model at runs/digts/1"),
        ({"tflite": ("int4",)}, "float32, float16"),
        ({"name": "../x"}, "letters, digits"),
    ],
)
def test_wrong_arguments(exported, tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        export_run(**{"path": exported.run, "out": tmp_path, "tflite": (), "images": 3, **arguments})
