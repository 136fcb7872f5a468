"""`encapnet tune` as a user types it: to its end, with a trial that fails, killed and resumed, on two workers."""

import csv
import doctest
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import keras
import keras_tuner
import numpy as np
import pytest
from encapnet_tf.trainers import data
from encapnet_tf.trainers.commands import tune
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.data.augmentation.augment import Augmentation
from encapnet_tf.trainers.data.pipeline.batches import training_batches
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory
from encapnet_tf.trainers.search import EncapNetHyperModel, hyper_model
from encapnet_tf.trainers.search.plan import Plan
from encapnet_tf.trainers.search.space import Space
from encapnet_tf.trainers.search.tuner import TrialModel

from tests.trainers.search.test_records import write_trial

COMMAND = [sys.executable, "-c", "from encapnet_tf.trainers.commands.cli import main; main()"]
TINY = ["--epochs=1", "--num_capsules=4", "--depths=0", "--capsule_dims=2", "--strides=2", "--routing=master",
        "--train_limit=400"]  # fmt: skip
SMALL = {"num_capsules": 2, "depths": (0,), "capsule_dims": (2,), "strides": (2,), "routing": ("master",)}


def encapnet(*arguments, cwd, **options):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, **options)


def records(out):
    found = [json.loads(path.read_text()) for path in sorted(out.glob("trial_*/record.json"))]
    return {record["trial"]: record for record in found}


def test_a_failed_trial_is_told_and_the_best_one_trains(tmp_path):
    flags = ["--feedback=none", "--schedule=constant", "--search=learning_rate=0.003/1e38", "--tuner=grid"]
    process = encapnet("tune", "--out=s", *TINY, *flags, "--retrain=1", "--retrain_epochs=1", cwd=tmp_path)
    assert process.returncode == 1, process.stderr
    assert "trial 0001 failed: The loss became" in process.stderr
    out, found = tmp_path / "s", records(tmp_path / "s")
    assert [found[trial]["status"] for trial in ("0000", "0001")] == ["completed", "failed"]
    assert "Traceback" in found["0001"]["traceback"]
    assert "FiniteLoss" in found["0001"]["traceback"] or "The loss became" in found["0001"]["traceback"]
    assert json.loads((out / "trial_0001/trial.json").read_text())["status"] == "FAILED"
    for name in ("config.json", "metrics.jsonl", "record.json", "trial.json"):
        assert (out / "trial_0000" / name).exists()
    assert [row["status"] for row in csv.DictReader((out / "leaderboard.csv").open())] == ["completed", "failed"]
    assert "Failed trials" in (out / "report.html").read_text()
    assert "next:        encapnet train --config=s/best.json --epochs=40" in process.stdout
    # With the same seed and epochs, training gives what the trial gave: it is the same pipeline.
    again = json.loads((out / "best/seed0/summary.json").read_text())
    assert again["validation_accuracy"] == pytest.approx(found["0000"]["validation_accuracy"], abs=1e-9)
    assert json.loads((out / "best/seed0/config.json").read_text())["config"]["learning_rate"] == 0.003


class TestVerdict:
    """What the command says at the end; the search itself is replaced by the files it would leave."""

    PLAN = Plan(resolve("digits", {"feedback": "two", "epochs": 2}), Space.parse("lambda"), "random", 2, "val_loss", 4)

    def end(self, out, monkeypatch, **trials):
        from encapnet_tf.trainers.search import session

        out.mkdir()
        for name, status in trials.items():
            write_trial(out, name.removeprefix("t"), status)
        monkeypatch.setattr(session, "search", lambda *_: None)
        args = type("Args", (), {"workers": 1, "silent_minutes": 1, "retrain": 0})
        tune._search(self.PLAN, RunDirectory(out), args, "alone")

    def test_all_well(self, tmp_path, monkeypatch, capsys):
        self.end(tmp_path / "s", monkeypatch, t0="COMPLETED", t1="COMPLETED")
        assert "2 trials completed, 0 did not" in capsys.readouterr().out

    def test_one_failed(self, tmp_path, monkeypatch):
        with pytest.raises(UserError, match="trial 1 failed: <b>it broke") as caught:
            self.end(tmp_path / "s", monkeypatch, t0="COMPLETED", t1="FAILED")
        assert caught.value.status == 1

    def test_all_failed(self, tmp_path, monkeypatch):
        with pytest.raises(UserError, match="Every one of the 2 trials failed, so there is no best") as caught:
            self.end(tmp_path / "s", monkeypatch, t0="FAILED", t1="FAILED")
        assert caught.value.status == 1


def test_the_hypermodel_in_kerastuners_own_tuner(tmp_path):
    """On the user's own arrays, by KerasTuner's search; the trial that cannot be built fails alone."""
    config = resolve("digits", {**SMALL, "feedback": "half", "schedule": "constant"})
    hypermodel = EncapNetHyperModel((8, 8, 1), 10, config, {"lambda": (0.1, 1.0), "epsilon": None})
    tuner = keras_tuner.RandomSearch(hypermodel, "val_accuracy", max_trials=1, directory=tmp_path, seed=1)
    images, labels = np.random.default_rng(0).uniform(0, 255, (32, 8, 8, 1)), np.arange(32) % 10
    tuner.search(images, labels, validation_data=(images, labels), epochs=1, batch_size=16, verbose=0)
    (trial,) = tuner.oracle.get_best_trials()
    assert trial.status == "COMPLETED"
    unit = next(layer for layer in hypermodel.build(trial.hyperparameters).layers if "feedback" in layer.name)
    assert unit.weight == pytest.approx(trial.hyperparameters["feedback_weight"], rel=1e-3)
    assert unit.epsilon == pytest.approx(trial.hyperparameters["epsilon"], rel=1e-3)
    keras.backend.clear_session()


def test_the_hypermodels_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(hyper_model).attempted > 3
    assert doctest.testmod(hyper_model).failed == 0


def test_the_hypermodel_refuses_what_it_cannot_do():
    with pytest.raises(UserError, match="needs steps_per_epoch"):
        EncapNetHyperModel((8, 8, 1), 10, resolve("digits", {"feedback": "two"}))
    constant = resolve("digits", {"schedule": "constant"})
    with pytest.raises(UserError, match="no feedback units"):
        EncapNetHyperModel((8, 8, 1), 10, constant)
    with pytest.raises(UserError, match="batch_size would change nothing"):
        EncapNetHyperModel((8, 8, 1), 10, constant, {"batch_size": [16, 32]})


@pytest.mark.parametrize("augment", ["none", "++", "mixup"])
def test_a_trial_has_the_batches_that_training_with_its_settings_has(tmp_path, monkeypatch, augment):
    """Another augmentation and batch size than the search's own: images, labels, steps and schedule are the trial's."""
    base = resolve("digits", {**SMALL, "image_size": 6, "epochs": 1})
    trials = TrialModel(data.load(base), base, Space.parse("augment=affine/none/++/mixup,batch_size=64/100/5000"))
    hp, given = keras_tuner.HyperParameters(), {}
    hp.values |= {"augment": augment, "batch_size": 100}
    model = trials.build(hp)

    def fit(self, hp, model, batches, **options):
        given.update(options, batches=batches)

    monkeypatch.setattr(EncapNetHyperModel, "fit", fit)
    trials.fit(hp, model, RunDirectory(tmp_path))
    config = trials.configured(hp)
    dataset = data.load(config)
    expected = training_batches(
        dataset.train, 100, 1, config.seed, Augmentation(config.augment, dataset.views, classes=10)
    )
    for found, wanted in zip(next(iter(given["batches"])), next(iter(expected)), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert given["steps_per_epoch"] == len(dataset.train) // 100
    rate = model.optimizer._learning_rate
    assert rate.warmup_steps + rate.decay_steps == given["steps_per_epoch"], "the cosine ends with the last step"
    assert next(iter(given["validation_data"]))[1].ndim == (2 if augment == "mixup" else 1)
    three = mock.patch.object(type(model), "distribute_strategy", SimpleNamespace(num_replicas_in_sync=3))
    with three, pytest.raises(UserError, match="--batch_size=100 does not go with 3 replicas"):
        trials.fit(hp, model, RunDirectory(tmp_path))
    hp.values["batch_size"] = 5000
    with pytest.raises(UserError, match="--batch_size=5000 is more than the 1293 training images"):
        trials.build(hp)


def _wait_for(condition, seconds=200):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def _children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_two_workers_share_a_search_that_is_killed_and_resumed(tmp_path):
    out = tmp_path / "s"
    flags = ["--feedback=half", "--iterations=1", "--trials=6", "--workers=2"]
    process = subprocess.Popen([*COMMAND, "tune", "--out=s", *TINY, *flags], cwd=tmp_path, stdout=subprocess.DEVNULL)
    _wait_for(lambda: any(record["status"] == "completed" for record in records(out).values()))
    workers = _children(process.pid)
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _wait_for(lambda: not any(map(_alive, workers)), 20)
    finished = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("trial_*/record.json")}
    finished = {name: at for name, at in finished.items() if records(out)[name[6:]]["status"] == "completed"}
    ended = {f"trial_{name}" for name in json.loads((out / "oracle.json").read_text())["end_order"]}
    (out / "trial_9").mkdir()  # a folder that was made, and no more

    resumed = time.time_ns()
    process = subprocess.Popen(
        [*COMMAND, "tune", "--resume", "--out=s", "--workers=2"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    _wait_for(lambda: any(r.stat().st_mtime_ns > resumed for r in out.glob("trial_*/record.json")))  # a trial began
    os.kill(_children(process.pid)[0], signal.SIGKILL)  # a dead worker neither hangs nor loses the search
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    assert "trial_9/trial.json is missing" in output
    assert "died (-9)" in output
    found = records(out)
    assert sorted(found) == ["0", "1", "2", "3", "4", "5"]
    assert all(record["status"] == "completed" for record in found.values())
    assert len({tuple(record["settings"].values()) for record in found.values()}) == 6
    for name in ended & set(finished):
        assert (out / name / "record.json").stat().st_mtime_ns == finished[name], "finished trials are not run again"
    order = json.loads((out / "oracle.json").read_text())["end_order"]
    assert sorted(order) == sorted(found), "each ended once"


@pytest.mark.slow
def test_a_chief_and_a_worker_by_kerastuners_variables(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": port}
    flags = ["--out=s", *TINY, "--feedback=none", "--search=learning_rate", "--trials=2"]
    worker = subprocess.Popen([*COMMAND, "tune", *flags], cwd=tmp_path, env={**shared, "KERASTUNER_TUNER_ID": "worker"})
    process = encapnet("tune", *flags, cwd=tmp_path, env={**shared, "KERASTUNER_TUNER_ID": "chief"})
    assert process.returncode == 0, process.stderr
    assert worker.wait(60) == 0
    assert {record["worker"] for record in records(tmp_path / "s").values()} == {"worker"}
    assert len(records(tmp_path / "s")) == 2


@pytest.mark.slow
def test_a_trial_on_two_replicas(tmp_path):
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "tests.trainers.search.mirrored_trial", tmp_path]
    process = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280)
    assert process.returncode == 0, process.stderr
    (record,) = records(tmp_path / "search").values()
    assert record["status"] == "completed", record
