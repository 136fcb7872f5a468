"""The flag --deterministic, in a process of its own because TensorFlow cannot switch determinism off."""

import subprocess
import sys

import numpy as np
import pytest
from encapnet_tf.trainers.evaluation.predictions import saved_model

PROGRAM = """
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.fitting.train import train
settings = {"deterministic": True, "epochs": 1, "num_capsules": 4, "depths": (0,), "capsule_dims": (2,),
            "strides": (2,), "feedback": "half", "train_limit": 120, "batch_size": 16, "ema": 0.9,
            "routing_epochs": (0,)}
for run in ("one", "other"):
    train(resolve("digits", settings), run)
"""


@pytest.mark.ci
def test_two_runs_give_identical_weights(tmp_path):
    process = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr[-3000:]
    for file in ("best.keras", "final.keras"):
        ours, theirs = (saved_model(tmp_path / run / file).get_weights() for run in ("one", "other"))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
