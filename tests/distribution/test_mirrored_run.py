"""`encapnet train --strategy=mirrored` on two parts of the CPU, each time in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from encapnet_tf.trainers.evaluation.predictions import saved_model

FLAGS = ["--epochs=2", "--num_capsules=4", "--depths=0", "--capsule_dims=2", "--strides=2", "--routing=master",
         "--train_limit=150", "--batch_size=16", "--checkpoint_steps=2", "--optimizer=adam", "--schedule=constant",
         "--augment=affine,mixup", "--feedback=half", "--feedback_weight=0.1", "--synchronized=true", "--ema=0.8",
         "--sync_replicas=true"]  # fmt: skip
MIRRORED = ["--strategy=mirrored", "--replicas=2"]
ROOT = Path(__file__).parents[2]
PROGRAM = "from tests.trainers.fitting.run_callbacks import SigtermAt, run_command; run_command({callbacks})"


def encapnet(folder, *flags, callbacks=""):
    program = ["-c", PROGRAM.format(callbacks=callbacks)] if callbacks else ["-m", "encapnet_start"]
    return subprocess.run(
        [sys.executable, *program, "train", *flags],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def rows(run):
    return [
        {name: value for name, value in json.loads(line).items() if name != "seconds"}
        for line in (run / "metrics.jsonl").read_text().splitlines()
    ]


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirrored")
    process = encapnet(folder, "--run_dir=run", *FLAGS, *MIRRORED)
    assert process.returncode == 0, process.stderr[-3000:]
    assert process.stderr == "", "no line of TensorFlow's log, nor about the replicas' collective operations"
    return folder / "run", process.stdout


@pytest.mark.ci
def test_a_run_on_two_replicas_is_whole(mirrored):
    run, output = mirrored
    assert "on 2 replicas" in output
    assert "validation leaves out 1 image: 2 replicas take 1 x 14" in output
    assert {"best.keras", "final.keras", "summary.json", "report.html"} <= {path.name for path in run.iterdir()}
    assert all(np.isfinite(value) for row in rows(run) for value in row.values())


@pytest.mark.slow
def test_it_logs_what_one_device_does(mirrored, tmp_path):
    process = encapnet(tmp_path, "--run_dir=run", *FLAGS)
    assert process.returncode == 0, process.stderr[-3000:]
    for row, expected in zip(rows(mirrored[0]), rows(tmp_path / "run"), strict=True):
        for name in ("loss", "class_loss", "module1_feedback_half"):
            assert row[name] == pytest.approx(expected[name], rel=1e-2), name


@pytest.mark.slow
def test_stopped_and_resumed_is_uninterrupted(mirrored, tmp_path):
    process = encapnet(tmp_path, "--run_dir=run", *FLAGS, *MIRRORED, callbacks="SigtermAt(11)")
    assert process.returncode == 143, process.stderr[-3000:]
    assert "Stopped by SIGTERM. Everything is saved" in process.stderr
    process = encapnet(tmp_path, "--resume=run")
    assert process.returncode == 0, process.stderr[-3000:]
    assert "resumes at epoch 2, step 4" in process.stdout
    assert rows(tmp_path / "run") == rows(mirrored[0])
    ours, theirs = (saved_model(run / "final.keras").get_weights() for run in (tmp_path / "run", mirrored[0]))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
