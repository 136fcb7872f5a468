"""Files that version 0.1 wrote, in tests/data/version_0_1: every later version loads them and computes the same."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from encapnet_tf.trainers.config.schema import Config
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.runs.run_directory import RunDirectory

import encapnet_tf as en

FILES = Path(__file__).parent / "data" / "version_0_1"
ENCAPNET = {
    "depths": (1, 1), "capsule_dims": (2, 4), "strides": (1, 2), "num_capsules": 4, "feedback": "two",
    "feedback_options": {"weight": 0.1, "epsilon": 0.5}, "include_rescaling": True,
}  # fmt: skip
needs_keras_of_the_files = pytest.mark.skipif(
    [int(number) for number in keras.__version__.split(".")[:2]] < [3, 15],
    reason="Keras 3.15 wrote the models; their initializers have arguments that older versions do not know",
)


@pytest.fixture(scope="module")
def outputs():
    return np.load(FILES / "outputs.npz")


@needs_keras_of_the_files
@pytest.mark.parametrize(
    ("file", "images", "expected"),
    [
        ("encapnet_with_units.keras", "images", "encapnet"),
        ("capnet_em_with_unit.keras", "images", "capnet"),
        ("attached_feedback.keras", "attached_images", "attached"),
    ],
)
def test_saved_models_load(outputs, file, images, expected):
    model = en.load_model(FILES / file)
    np.testing.assert_allclose(model.predict(outputs[images], verbose=0), outputs[expected], atol=1e-6)
    units = [layer for layer in model.layers if isinstance(layer, en.layers.FeedbackAgreement)]
    assert units
    stripped = en.strip_feedback(model)
    np.testing.assert_allclose(stripped.predict(outputs[images], verbose=0), outputs[expected], atol=1e-6)


def test_weights_load_into_a_built_network(outputs):
    model = en.models.EncapNet((12, 8, 1), 3, **ENCAPNET)
    model.compile("adam", en.losses.MarginLoss(), metrics=["accuracy"])
    model.load_weights(FILES / "encapnet_with_units.weights.h5")
    np.testing.assert_allclose(model.predict(outputs["images"], verbose=0), outputs["encapnet"], atol=1e-6)


@needs_keras_of_the_files
def test_weights_and_models_hold_the_same():
    model = en.models.EncapNet((12, 8, 1), 3, **ENCAPNET)
    model.load_weights(FILES / "encapnet_with_units.weights.h5")
    saved = en.load_model(FILES / "encapnet_with_units.keras")
    for built, loaded in zip(model.weights, saved.weights, strict=True):
        ends = [(path[0], path[-1]) for path in (built.path.split("/"), loaded.path.split("/"))]  # units number theirs
        assert ends[0] == ends[1]
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(built), keras.ops.convert_to_numpy(loaded))


@pytest.mark.ci
def test_an_unfinished_run_resumes(tmp_path):
    """Its 4th step of the second epoch was the last; the epochs that follow are those of an uninterrupted run."""
    shutil.copytree(FILES / "unfinished_run", tmp_path / "run")
    run = RunDirectory.unfinished(tmp_path / "run")
    config = Config.from_json(run.read_json(RunDirectory.config_file, "config")["config"])
    train(config, resume=run)
    rows = run.read_json_lines(RunDirectory.metrics_file)
    (tmp_path / "whole").mkdir()
    shutil.copy(FILES / "uninterrupted_metrics.jsonl", tmp_path / "whole" / RunDirectory.metrics_file)
    expected = RunDirectory(tmp_path / "whole").read_json_lines(RunDirectory.metrics_file)
    assert len(rows) == len(expected) == 3
    for row, other in zip(rows, expected, strict=True):
        added = {name for name in row if name.endswith("_paired_mass")}  # logged since then
        assert row.keys() - added == other.keys()
        for name in other.keys() - {"seconds"}:
            assert row[name] == pytest.approx(other[name], rel=1e-3, abs=1e-4), name
