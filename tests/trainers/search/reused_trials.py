"""Trials of a search one after another, and the state in which the last one ends.

`python -m tests.trainers.search.reused_trials FILE EPSILON...` trains on two replicas, and writes that state to a file.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import keras_tuner
import numpy as np
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.fitting.strategy import prepare
from encapnet_tf.trainers.runs.run_directory import RunDirectory
from encapnet_tf.trainers.search.space import Space
from encapnet_tf.trainers.search.tuner import TrialModel

NETWORK = {"num_capsules": 2, "depths": (0,), "capsule_dims": (2,), "strides": (2,), "routing": ("master",),
           "feedback": "half", "iterations": 5, "epochs": 2, "train_limit": 200, "batch_size": 32, "optimizer": "adam",
           "l2": 0.001, "ema": 0.9, "jit_compile": "false", "deterministic": True}  # fmt: skip


def run_trials(epsilons, **settings):
    """Return the `TrialModel`, and the validation results and variables (as arrays) of the last trial.

    The other numbers of a trial differ with its epsilon.
    """
    config = resolve("digits", {**NETWORK, **settings})
    strategy = prepare(config)
    decay = "l2" if config.optimizer == "adam" else "weight_decay"
    trials = TrialModel(data.load(config), config, Space.parse(f"lambda,epsilon,learning_rate,{decay}=0.0001:0.1"))
    for epsilon in epsilons:
        hp = keras_tuner.HyperParameters()
        hp.values |= {
            "feedback_weight": 2 * epsilon,
            "epsilon": epsilon,
            "learning_rate": epsilon / 20,
            decay: epsilon / 9,
        }
        keras.backend.clear_session()  # as KerasTuner
        with TemporaryDirectory() as folder, trials.trial(hp):
            with strategy.scope() if strategy else nullcontext():
                model = trials.build(hp)
            history = trials.fit(hp, model, RunDirectory(folder)).history
    results = [history[name] for name in sorted(history) if name.startswith("val_")]
    return trials, [np.array(results), *(keras.ops.convert_to_numpy(v) for v in model.variables)]


if __name__ == "__main__":
    result = run_trials(map(float, sys.argv[2:]), strategy="mirrored", replicas=2)[1]
    np.savez(Path(sys.argv[1]), *result)
