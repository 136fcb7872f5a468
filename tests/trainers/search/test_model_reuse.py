"""A trial that takes over the compiled model of an earlier one has the results of a trial in a new process."""

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.search.model_reuse import CompiledModels, structure_of

from tests.trainers.search.reused_trials import run_trials

EPSILONS = (0.1, 0.03, 0.5)
CHANGES = {
    "Adam with L2, averages and the cosine schedule": {},
    "the step schedule": {"schedule": "step", "milestones": (1,)},
    "decoupled weight decay": {"optimizer": "adamw", "l2": 0.0, "weight_decay": 0.01},
    "a constant rate and the spread loss": {"schedule": "constant", "loss": "spread", "ema": 0.0},
}


def assert_same(results, expected):
    for ours, theirs in zip(results, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change, id=name, marks=pytest.mark.slow if change else pytest.mark.ci)
        for name, change in CHANGES.items()
    ],
)
def test_bit_for_bit(change):
    trials, results = run_trials(EPSILONS, **change)
    assert trials.compiled.compilations == 1
    assert_same(results, run_trials(EPSILONS[-1:], **change)[1])


@pytest.mark.slow
def test_bit_for_bit_on_two_replicas(tmp_path):
    results = []
    for epsilons in (EPSILONS, EPSILONS[-1:]):
        file = tmp_path / f"{len(epsilons)}.npz"
        command = [sys.executable, "-m", "tests.trainers.search.reused_trials", file, *map(str, epsilons)]
        root = Path(__file__).parents[3]
        process = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
        assert process.returncode == 0, process.stderr
        results.append(list(np.load(file).values()))
    assert_same(*results)


def test_seeds_of_later_trials_keep_compiled_functions(monkeypatch):
    config, compiled, tensorflow_seeds = resolve("digits", {}), CompiledModels(), []
    set_seed = tf.random.set_seed
    monkeypatch.setattr(tf.random, "set_seed", lambda seed: (tensorflow_seeds.append(seed), set_seed(seed)))

    def draws():
        compiled.set_random_seed(7)
        return random.random(), np.random.rand(), keras.initializers.GlorotUniform()((2, 2)).numpy().tolist()

    first = draws()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    compiled.take_over(config, model)
    assert draws() == first
    assert tensorflow_seeds == [7]  # which makes TensorFlow discard its compiled functions


def test_what_makes_another_model():
    config = resolve("digits", {"feedback": "two", "optimizer": "adam", "l2": 0.01})
    same = replace(config, epsilon=0.3, feedback_weight=4.0, learning_rate=0.1, l2=0.2)
    assert structure_of(same) == structure_of(config)
    for other in ({"l2": 0.0}, {"cost": "euclidean"}, {"batch_size": 32}, {"feedback": "half"}, {"augment": ("none",)}):
        assert structure_of(replace(config, **other)) != structure_of(config), other
