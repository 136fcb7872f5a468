"""`encapnet tune`: a search with a failing trial, its results, real workers that are killed and resumed."""

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
from encapnet_tf.trainers.commands import cli, tune
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.data.augmentation.augment import Augmentation
from encapnet_tf.trainers.data.pipeline.batches import training_batches
from encapnet_tf.trainers.runs.atomic_folder import AtomicFolder
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory
from encapnet_tf.trainers.search import EncapNetHyperModel, hyper_model, retrain, session, supervisor
from encapnet_tf.trainers.search.plan import Plan
from encapnet_tf.trainers.search.space import Space
from encapnet_tf.trainers.search.tuner import TrialModel

from tests.trainers.search.test_records import write_trial

COMMAND = [sys.executable, "-m", "encapnet_start"]
TINY = ["--epochs=1", "--num_capsules=4", "--depths=0", "--capsule_dims=2", "--strides=2", "--routing=master",
        "--train_limit=400", "--jit_compile=false"]  # fmt: skip
SMALL = {"num_capsules": 2, "depths": (0,), "capsule_dims": (2,), "strides": (2,), "routing": ("master",),
         "jit_compile": "false", "iterations": 1}  # fmt: skip


def encapnet(*arguments, cwd, **options):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, **options)


def read_records(out):
    records = [json.loads(path.read_text()) for path in sorted(out.glob("trial_*/record.json"))]
    return {record["trial"]: record for record in records}


@pytest.fixture
def in_process(monkeypatch):
    """Trials are trained in this process, instead of in a worker's."""

    def run_trials(oracle, out, **_):
        folder = AtomicFolder(out)
        tuner = session._create_tuner(Plan.read(folder), folder)
        tuner.oracle = oracle
        tuner.search()

    monkeypatch.setattr(supervisor, "run_local_workers", run_trials)
    monkeypatch.setattr(session, "_hide_gpus", lambda: None)


@pytest.mark.ci
def test_a_failed_trial_is_reported_and_the_best_one_trains(tmp_path, monkeypatch, capsys, in_process):
    monkeypatch.chdir(tmp_path)
    flags = ["--feedback=none", "--schedule=constant", "--search=learning_rate=0.003/1e38", "--tuner=grid"]
    args = cli._parse(["encapnet", "tune", "--out=s", *TINY, *flags, "--retrain=1", "--retrain_epochs=1"])
    with (
        mock.patch.object(TrialModel, "configured", autospec=True, side_effect=TrialModel.configured) as configured,
        pytest.raises(UserError, match="trial 0001 failed: The loss became") as error,
    ):
        args.main(args)
    assert error.value.status == 1
    # Two trials, and a network that KerasTuner builds for each tuner: the chief's and the worker's.
    assert configured.call_count == 4
    out, records = tmp_path / "s", read_records(tmp_path / "s")
    assert [records[trial]["status"] for trial in ("0000", "0001")] == ["completed", "failed"]
    assert "Traceback" in records["0001"]["traceback"]
    assert "The loss became" in records["0001"]["traceback"]
    assert json.loads((out / "trial_0001/trial.json").read_text())["status"] == "FAILED"
    for name in ("config.json", "metrics.jsonl", "record.json", "trial.json"):
        assert (out / "trial_0000" / name).exists()
    assert [row["status"] for row in csv.DictReader((out / "leaderboard.csv").open())] == ["completed", "failed"]
    assert "Failed trials" in (out / "report.html").read_text()
    output = capsys.readouterr().out
    begins, epoch, ends = (
        output.index(text) for text in ("trial 0000 begins: learn", "trial 0000: epoch 1/1  loss", "[1] trial 0000:")
    )
    assert begins < epoch < ends
    assert "next:        encapnet train --config=s/best.json --epochs=40" in output
    assert "best configuration, 1 seed: test accuracy" in output
    # With the same seed and epochs, training gives the trial's result: both use the same pipeline.
    summary = json.loads((out / "best/seed0/summary.json").read_text())
    assert summary["validation_accuracy"] == pytest.approx(records["0000"]["validation_accuracy"], abs=1e-9)
    assert json.loads((out / "best/seed0/config.json").read_text())["config"]["learning_rate"] == 0.003


class TestRetrain:
    """Training the best configuration on several seeds, with a stand-in for the training function."""

    def retrain(self, folder, monkeypatch, outcomes, **options):
        def train(config, path):
            run = RunDirectory.create("digits", path)
            run.write_json(RunDirectory.config_file, {"config": config.to_json()})
            if isinstance(outcomes[config.seed], Exception):
                raise outcomes[config.seed]
            accuracies = {"test_accuracy": outcomes[config.seed], "validation_accuracy": 0.5}
            run.write_json(RunDirectory.summary_file, {"seed": config.seed, "epochs": config.epochs, **accuracies})

        monkeypatch.setattr("encapnet_tf.trainers.fitting.train.train", train)
        monkeypatch.setattr("keras.backend.clear_session", lambda: None)  # no network is built
        return retrain.retrain(resolve("digits", {}), AtomicFolder(folder), **{"seeds": 3, "epochs": 2, **options})

    def test_finished_seeds_are_skipped_and_failures_recorded(self, tmp_path, monkeypatch, capsys):
        outcomes = {0: 0.9, 1: UserError("The loss became nan."), 2: UserError("Interrupted.", status=130)}
        with pytest.raises(UserError, match="Interrupted"):
            self.retrain(tmp_path, monkeypatch, outcomes)
        assert self.retrain(tmp_path, monkeypatch, {0: AssertionError(), 1: AssertionError(), 2: 0.8}) == 1
        assert "seed1 failed before; remove it to run it again" in capsys.readouterr().out
        assert json.loads((tmp_path / "best/seed1/failed.json").read_text())["reason"] == "The loss became nan."
        assert (tmp_path / "best/seed2-unfinished1").is_dir()
        summaries = retrain.read_summaries(AtomicFolder(tmp_path))
        assert [(run["seed"], run["epochs"], run["test_accuracy"]) for run in summaries] == [(0, 2, 0.9), (2, 2, 0.8)]
        assert retrain.mean_and_deviation(summaries, "test_accuracy") == "85.00 ± 7.07 %"

    def test_another_length_is_refused(self, tmp_path, monkeypatch):
        self.retrain(tmp_path, monkeypatch, {0: 0.9}, seeds=1)
        with pytest.raises(UserError, match="other settings: epochs=2 there, 3 now"):
            self.retrain(tmp_path, monkeypatch, {0: 0.9}, seeds=1, epochs=3)


class TestResults:
    """Output and exit status of a finished search, whose files are written here instead of by trials."""

    PLAN = Plan(resolve("digits", {"feedback": "two", "epochs": 2}), Space.parse("lambda"), "random", 2, "val_loss", 4)

    def finish(self, out, *statuses):
        out.mkdir()
        for number, status in enumerate(statuses):
            write_trial(out, number, status)
        tune.finish(self.PLAN, AtomicFolder(out), SimpleNamespace(retrain=0))

    def test_all_completed(self, tmp_path, capsys):
        self.finish(tmp_path / "s", "COMPLETED", "COMPLETED")
        assert "2 trials completed, 0 did not" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("statuses", "message"),
        [
            (["COMPLETED", "FAILED"], "trial 1 failed: <b>it broke"),
            (["FAILED", "FAILED"], "Every trial failed \\(2\\), so there is no best"),
            ([], "No trial ended"),
        ],
    )
    def test_failures(self, tmp_path, statuses, message):
        with pytest.raises(UserError, match=message) as error:
            self.finish(tmp_path / "s", *statuses)
        assert error.value.status == 1

    def test_an_interrupted_search_keeps_its_trials(self, tmp_path, monkeypatch):
        def interrupt(plan, folder, *_, **__):
            write_trial(folder.path, 0)
            raise KeyboardInterrupt

        monkeypatch.setattr(session, "search", interrupt)
        args = cli._parse(["encapnet", "tune", f"--out={tmp_path / 's'}"])
        with pytest.raises(UserError, match="Resume with: encapnet tune --resume --out=") as error:
            args.main(args)
        assert error.value.status == 130
        assert "1,0,completed" in (tmp_path / "s/leaderboard.csv").read_text()


@pytest.mark.ci
def test_the_hypermodel_in_kerastuners_own_tuner(tmp_path):
    """On the user's own arrays, by KerasTuner's search; the trial that cannot be built fails alone."""
    config = resolve("digits", {**SMALL, "feedback": "half", "extractor": "none", "schedule": "constant"})
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


@pytest.mark.slow
def test_kerastuners_own_objectives_reload_and_early_stopping(tmp_path):
    """A metric as the objective; a search that is found again goes on, one that is overwritten begins anew."""
    hypermodel = EncapNetHyperModel(
        (8, 8, 1), 10, resolve("digits", {**SMALL, "schedule": "constant"}), {"learning_rate": (0.001, 0.01)}
    )
    images, labels = np.random.default_rng(0).uniform(0, 255, (32, 8, 8, 1)), np.arange(32) % 10

    def search(trials, **options):
        objective, epochs = keras_tuner.Objective("val_class_loss", "min"), []
        tuner = keras_tuner.BayesianOptimization(
            hypermodel, objective, max_trials=trials, directory=tmp_path, seed=1, **options
        )
        stopping = keras.callbacks.EarlyStopping("val_class_loss", mode="min", min_delta=10)
        count = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _: epochs.append(epoch))
        arrays = {"validation_data": (images, labels), "batch_size": 16, "verbose": 0}
        tuner.search(images, labels, epochs=6, callbacks=[stopping, count], **arrays)
        scores = {name: trial.score for name, trial in tuner.oracle.trials.items()}
        return scores, epochs, tuner.get_best_models()[0].predict(images, verbose=0)

    scores, epochs, outputs = search(1)
    assert epochs == [0, 1], "stopped early"
    again, epochs, reloaded = search(1)
    assert (again, epochs) == (scores, []), "nothing is trained again"
    np.testing.assert_array_equal(reloaded, outputs)
    more, epochs, _ = search(2)
    assert (sorted(more), more["0"], epochs) == (["0", "1"], scores["0"], [0, 1])
    anew, epochs, _ = search(1, overwrite=True)
    assert (sorted(anew), epochs) == (["0"], [0, 1])
    keras.backend.clear_session()


def test_a_schedule_for_another_number_of_epochs_is_refused():
    hypermodel = EncapNetHyperModel(
        (8, 8, 1), 10, resolve("digits", {"epochs": 5}), {"learning_rate": None}, steps_per_epoch=2
    )
    hp, network = keras_tuner.HyperParameters(), mock.Mock()
    hypermodel.fit(hp, network, epochs=5)
    assert network.fit.call_args.kwargs["epochs"] == 5
    for wrong in ({}, {"epochs": 2}, {"epochs": 5, "initial_epoch": 2}):
        with pytest.raises(UserError, match=r"'cosine' is made for config.epochs=5, .*search\(epochs=5\)"):
            hypermodel.fit(hp, network, **wrong)


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
    model = TrialModel(data.load(base), base, Space.parse("augment=affine/none/++/mixup,batch_size=64/100/5000"))
    hp, options = keras_tuner.HyperParameters(), {}
    hp.values |= {"augment": augment, "batch_size": 100}

    def fit(self, hp, network, batches, **arguments):
        options.update(arguments, batches=batches)

    monkeypatch.setattr(EncapNetHyperModel, "fit", fit)
    with model.trial(hp) as config:
        network = model.build(hp)
        model.fit(hp, network, RunDirectory(tmp_path))
        three = mock.patch.object(type(network), "distribute_strategy", SimpleNamespace(num_replicas_in_sync=3))
        with three, pytest.raises(UserError, match="--batch_size=100 does not work with 3 replicas"):
            model.fit(hp, network, RunDirectory(tmp_path))
    dataset = data.load(config)
    expected = training_batches(
        dataset.train, 100, 1, config.seed, Augmentation(config.augment, dataset.views, classes=10)
    )
    for trial_part, training_part in zip(next(iter(options["batches"])), next(iter(expected)), strict=True):
        np.testing.assert_array_equal(trial_part, training_part)
    assert options["steps_per_epoch"] == len(dataset.train) // 100
    rate = network.optimizer._learning_rate
    assert rate.warmup_steps + rate.decay_steps == options["steps_per_epoch"], "the cosine ends with the last step"
    assert next(iter(options["validation_data"]))[1].ndim == (2 if augment == "mixup" else 1)
    hp.values["batch_size"] = 5000
    with model.trial(hp), pytest.raises(UserError, match="--batch_size=5000 is more than the 1293 training images"):
        model.build(hp)


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


def _workers(pid):
    """Return the processes that a search has started; the one that filters its standard error has its command line."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return [int(child) for child in children if Path(f"/proc/{child}/cmdline").read_bytes() != command]


@pytest.mark.ci
def test_two_workers_share_a_search_that_is_killed_and_resumed(tmp_path):
    out = tmp_path / "s"
    flags = ["--feedback=none", "--search=learning_rate,weight_decay=0.001:0.1", "--trials=4", "--workers=2"]
    process = subprocess.Popen([*COMMAND, "tune", "--out=s", *TINY, *flags], cwd=tmp_path, stdout=subprocess.DEVNULL)
    _wait_for(lambda: any(record["status"] == "completed" for record in read_records(out).values()))
    workers = _workers(process.pid)
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _wait_for(lambda: not any(map(_alive, workers)), 20)
    finished = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("trial_*/record.json")}
    finished = {name: at for name, at in finished.items() if read_records(out)[name[6:]]["status"] == "completed"}
    ended = {f"trial_{name}" for name in json.loads((out / "oracle.json").read_text())["end_order"]}
    (out / "trial_9").mkdir()  # a folder that was made, and no more

    resumed = time.time_ns()
    process = subprocess.Popen(
        [*COMMAND, "tune", "--resume", "--out=s", "--workers=2"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    _wait_for(lambda: any(r.stat().st_mtime_ns > resumed for r in out.glob("trial_*/record.json")))  # a trial began
    os.kill(_workers(process.pid)[0], signal.SIGKILL)  # a dead worker neither hangs nor loses the search
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    assert "trial_9/trial.json is missing" in output
    assert "died (-9)" in output
    trials = read_records(out)
    assert sorted(trials) == ["0", "1", "2", "3"]
    assert all(record["status"] == "completed" for record in trials.values())
    assert len({tuple(record["settings"].values()) for record in trials.values()}) == 4
    for name in ended & set(finished):
        assert (out / name / "record.json").stat().st_mtime_ns == finished[name], "finished trials are not run again"
    order = json.loads((out / "oracle.json").read_text())["end_order"]
    assert sorted(order) == sorted(trials), "each ended once"


@pytest.mark.ci
def test_a_chief_and_a_worker_by_kerastuners_variables(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    variables = {**os.environ, "KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": port}
    flags = ["--out=s", *TINY, "--feedback=none", "--schedule=constant", "--search=learning_rate=0.003/1e38"]
    command = ["tune", *flags, "--tuner=grid"]
    environment = {**variables, "KERASTUNER_TUNER_ID": "worker"}
    worker = subprocess.Popen([*COMMAND, *command], cwd=tmp_path, env=environment)
    process = encapnet(*command, cwd=tmp_path, env={**variables, "KERASTUNER_TUNER_ID": "chief"})
    assert process.returncode == 1, process.stderr
    assert "trial 0001 failed: The loss became" in process.stderr
    assert worker.wait(60) == 0
    records = read_records(tmp_path / "s")
    assert [records[trial]["status"] for trial in ("0000", "0001")] == ["completed", "failed"]
    assert {record["worker"] for record in records.values()} == {"worker"}


@pytest.mark.slow
def test_a_trial_on_two_replicas(tmp_path):
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "tests.trainers.search.mirrored_trial", tmp_path]
    process = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=280)
    assert process.returncode == 0, process.stderr
    (record,) = read_records(tmp_path / "search").values()
    assert record["status"] == "completed", record
