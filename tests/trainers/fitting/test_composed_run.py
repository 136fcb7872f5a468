"""Runs on composed examples: trained, stopped, resumed bit for bit, evaluated and exported."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.export.commands.export import export_run
from encapnet_tf.export.local_predictor import load_predictor
from encapnet_tf.trainers.config.recipes import override
from encapnet_tf.trainers.evaluation.evaluate import evaluate
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.runs.run_directory import RunDirectory

from tests.export.verification_in_process import verify_in_this_process
from tests.trainers.fitting.interrupted import assert_same_run, stop
from tests.trainers.fitting.run_callbacks import SigtermAt


@pytest.mark.parametrize(
    "compose", [pytest.param("overlap", marks=pytest.mark.ci), pytest.param("affine", marks=pytest.mark.slow)]
)
def test_a_composed_run(tiny, tmp_path, monkeypatch, compose):
    verify_in_this_process(monkeypatch)
    config = replace(tiny, compose=compose, augment=("none",), epochs=2, routing_epochs=(1,))
    run, summary = train(config, tmp_path / "whole")
    assert_same_run(run, train(config, resume=stop(config, SigtermAt(10), tmp_path / "stopped"))[0])
    test, validation = evaluate(run)
    assert test.accuracy == summary["test_accuracy"]
    assert validation.accuracy == pytest.approx(summary["validation_accuracy"])  # of Keras's metric
    assert test.labels.shape == ((360, 2) if compose == "overlap" else (360,))
    folder = export_run(run.path, out=tmp_path, name="composed", tflite=("float32",), images=40)
    single = tf.io.encode_png(np.full((8, 8, 1), 200, np.uint8)).numpy()
    answers = [load_predictor(path)[0]([single])["lengths"] for path in (run.path, folder)]
    np.testing.assert_allclose(*answers, atol=1e-5)
    rows = RunDirectory(folder).read_json("parity.json")["rows"]
    assert len({row["accuracy"] for row in rows}) == 1


@pytest.mark.ci
@pytest.mark.parametrize(
    "network",
    [
        {"num_capsules": 8, "capsule_dims": (4,)},
        {"model": "plaincnn", "num_capsules": 16, "loss": "crossentropy"},
    ],
    ids=["margin", "crossentropy"],
)
def test_pairs_are_learned(tiny, tmp_path, network):
    """Better than the chance of finding both labels of ten, 1 in 45."""
    settings = {"compose": "overlap", "augment": ("none",), "epochs": 4, "learning_rate": 1e-2}
    config = override(tiny, {**settings, **network, "ema": 0.0, "train_limit": None, "l2": 0.0})
    _, summary = train(config, tmp_path / "run")
    assert summary["test_accuracy"] > 0.15
