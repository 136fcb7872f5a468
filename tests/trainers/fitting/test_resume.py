"""Runs that are cut off and go on: nothing is lost, nothing comes twice, and what cannot go on is told."""

import os
import resource
import shutil
import signal
from collections import namedtuple
from unittest import mock

import keras
import numpy as np
import pytest
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.config.schema import Config
from encapnet_tf.trainers.evaluation.predictions import saved_model
from encapnet_tf.trainers.fitting import checkpointing, resume
from encapnet_tf.trainers.fitting.checkpoint import Checkpoints
from encapnet_tf.trainers.fitting.checkpointing import Checkpointing
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory

TINY = {
    "epochs": 3,
    "num_capsules": 4,
    "depths": (0,),
    "capsule_dims": (2,),
    "strides": (2,),
    "routing": ("master",),
    "train_limit": 120,
    "batch_size": 16,
    "checkpoint_steps": 4,
    "routing_epochs": (1, 3),
}
STEPS = 6  # an epoch
PLAIN = resolve("digits", TINY)
RICH = resolve("digits", TINY | {"ema": 0.8, "feedback": "half", "feedback_weight": 0.1, "augment": ("affine", "mixup"),
                                 "optimizer": "adam", "l2": 1e-4})  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Configuration -> its uninterrupted run."""
    folder, runs = tmp_path_factory.mktemp("whole"), {}

    def of(config):
        if config not in runs:
            runs[config] = train(config, folder / str(len(runs)))[0]
        return runs[config]

    return of


def stopped(config, path, step):
    """A run that is sent SIGTERM when so many steps have been made."""
    inner = Checkpointing.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        if self._epoch * self.steps + batch + 1 == step:
            os.kill(os.getpid(), signal.SIGTERM)
        inner(self, batch, logs)

    stop = pytest.raises(UserError, match=r"Stopped by SIGTERM. Everything is saved; go on with: ")
    with mock.patch.object(Checkpointing, "on_train_batch_end", on_train_batch_end), stop as error:
        train(config, path)
    assert error.value.status == 143
    return RunDirectory.unfinished(path)


@pytest.fixture(scope="module")
def _cut(tmp_path_factory):
    return stopped(PLAIN, tmp_path_factory.mktemp("cut") / "run", 10)


@pytest.fixture
def cut(_cut, tmp_path):
    """A run that was stopped after 10 steps, the 4th of its second epoch; its checkpoints are of steps 6, 8 and 10."""
    shutil.copytree(_cut.path, tmp_path / "run")
    return RunDirectory.unfinished(tmp_path / "run")


def assert_same_run(run, other):
    """Both runs' models bit for bit, and their metrics."""
    for file in (RunDirectory.best_model_file, RunDirectory.final_model_file):
        ours, theirs = (saved_model(folder.file(file)).variables for folder in (run, other))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(np.array(a), np.array(b), err_msg=f"{file}: {a.path}")
    for file in (RunDirectory.metrics_file, RunDirectory.agreement_file):
        ours, theirs = (
            [{k: v for k, v in row.items() if k != "seconds"} for row in folder.read_json_lines(file)]
            for folder in (run, other)
        )
        assert ours == theirs
    ours, theirs = (folder.read_json(RunDirectory.summary_file) for folder in (run, other))
    for timed in ("train_seconds", "images_per_second"):
        ours.pop(timed), theirs.pop(timed)
    assert ours == theirs


@pytest.mark.parametrize(
    ("config", "step"),
    [(PLAIN, 4), (PLAIN, STEPS), (RICH, STEPS + 1), (RICH, 2 * STEPS)],
    ids=["in the first epoch", "at its end", "with everything, after one step", "with everything, at an epoch's end"],
)
def test_stopped_and_resumed_is_uninterrupted(config, step, whole, tmp_path, capsys):
    run = stopped(config, tmp_path / "run", step)
    train(config, resume=run)
    epoch = (step - 1) // STEPS
    assert f"goes on: epoch {epoch + 1}, step {step - epoch * STEPS + 1}, from " in capsys.readouterr().out
    assert_same_run(run, whole(config))
    written = run.read_json(RunDirectory.config_file)
    assert len(written["resumed"]) == 1
    assert Config.from_json(written["config"]) == config


def test_a_damaged_newest_checkpoint_costs_one_interval(whole, cut, capsys):
    newest = cut.file("checkpoints") / "checkpoint-000000010.ckpt"
    newest.write_bytes(newest.read_bytes()[:1000])
    train(PLAIN, resume=cut)
    output = capsys.readouterr().out
    assert "checkpoint-000000010.ckpt is damaged (its checksum is wrong)" in output
    assert "from " + str(cut.file("checkpoints") / "checkpoint-000000008.ckpt") in output
    assert_same_run(cut, whole(PLAIN))


def test_cut_off_after_the_last_epoch(whole, tmp_path):
    run = tmp_path / "run"
    interrupted = pytest.raises(UserError, match=r"Interrupted.*--resume")
    with mock.patch("encapnet_tf.trainers.fitting.train._finish", side_effect=KeyboardInterrupt), interrupted:
        train(PLAIN, run)
    train(PLAIN, resume=RunDirectory.unfinished(run))
    assert_same_run(RunDirectory(run), whole(PLAIN))


def test_what_came_after_the_checkpoint_is_taken_back(cut):
    """A newer best model and newer log lines, of a future that was lost, go."""
    kept = cut.file(RunDirectory.best_model_file).read_bytes()
    rows = cut.read_json_lines(RunDirectory.metrics_file)
    cut.write_text(RunDirectory.best_model_file, "of epoch 2")
    cut.write_json_lines(RunDirectory.metrics_file, [*rows, {"epoch": 2}])
    found = resume.start(cut, Checkpoints(cut.file("checkpoints")), PLAIN, STEPS)
    assert (found.epoch, found.step) == (1, 4)
    assert cut.file(RunDirectory.best_model_file).read_bytes() == kept
    assert cut.read_json_lines(RunDirectory.metrics_file) == rows


def test_other_settings_are_refused_with_their_list(cut):
    assert resume.configuration(cut, None, {}) == PLAIN
    assert resume.configuration(cut, "digits", {"epochs": 3}) == PLAIN
    with pytest.raises(UserError) as error:
        resume.configuration(cut, None, {"epochs": 5, "seed": 0, "learning_rate": 0.1})
    assert "epochs: 3 in the run, 5 asked for now\n  learning_rate: 0.003 in the run, 0.1 asked" in str(error.value)
    assert "seed" not in str(error.value)
    with pytest.raises(UserError, match="recipe: digits in the run, cifar10 asked for now"):
        resume.configuration(cut, "cifar10", {})
    told = cut.read_json(RunDirectory.config_file)
    cut.write_json(RunDirectory.config_file, told | {"config": told["config"] | {"batch_size": 15}})
    with pytest.raises(UserError, match=r"batch_size: 15 in the run, 16 in checkpoint-000000010\.ckpt"):
        train(resume.configuration(cut, None, {}), resume=cut)


def test_other_data_are_refused(cut):
    with pytest.raises(UserError, match="has 6 steps an epoch; the data now give 7"):
        resume.start(cut, Checkpoints(cut.file("checkpoints")), PLAIN, 7)


def test_two_processes_never_write_one_run(cut):
    with cut.locked(), pytest.raises(UserError, match=f"is being written by process {os.getpid()} on"):
        train(PLAIN, resume=cut)


def test_what_cannot_be_resumed(whole, tmp_path, cut):
    with pytest.raises(UserError, match="There is no run"):
        RunDirectory.unfinished(tmp_path)
    with pytest.raises(UserError, match="is complete"):
        RunDirectory.unfinished(whole(PLAIN).path)
    for path in cut.file("checkpoints").glob("*.ckpt"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"Every checkpoint in .* is damaged"):
        train(PLAIN, resume=cut)


def test_killed_before_the_first_checkpoint(whole, tmp_path, capsys):
    run = RunDirectory.create("digits", tmp_path / "run")
    run.write_json(RunDirectory.config_file, {"config": PLAIN.to_json()})
    train(PLAIN, resume=run)
    assert "training starts from the beginning" in capsys.readouterr().out
    assert_same_run(run, whole(PLAIN))


def test_too_little_room_is_told_before_the_first_step(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(checkpointing.shutil, "disk_usage", lambda path: usage(100_000))
    with pytest.raises(UserError, match=r"has room for 0 MiB.*Nothing was trained yet"):
        train(PLAIN, tmp_path / "run")


@pytest.fixture
def limited_files():
    """Limits how large a file may become: beyond it a write fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_cannot_take_a_checkpoint_is_told_before_the_first_step(tmp_path, limited_files):
    limited_files(20_000)
    with pytest.raises(UserError, match=r"first checkpoint cannot be written.*Nothing was trained yet"):
        train(PLAIN, tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_a_disk_that_fills_later_is_told_and_the_run_goes_on(whole, tmp_path, limited_files, monkeypatch, capsys):
    """The checkpoint of step 4 fails; that of step 8 finds room again."""
    inner = Checkpointing.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        limited_files(20_000 if (self._epoch, batch) == (0, 3) else resource.RLIM_INFINITY)
        inner(self, batch, logs)

    monkeypatch.setattr(Checkpointing, "on_train_batch_end", on_train_batch_end)
    run, _ = train(PLAIN, tmp_path / "run")
    told = capsys.readouterr().err
    assert "The checkpoint of epoch 1, step 4 cannot be written" in told
    assert "Training goes on" in told
    assert told.count("cannot be written") == 1
    assert_same_run(run, whole(PLAIN))


def test_a_file_of_the_run_that_cannot_be_written_stops_it(tmp_path, monkeypatch):
    def full(self, epoch, logs=None):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("encapnet_tf.trainers.fitting.callbacks.BestModel.on_epoch_end", full)
    with pytest.raises(UserError, match=r"No space left on device.*--resume=") as error:
        train(PLAIN, tmp_path / "run")
    assert error.value.status == 1
    assert RunDirectory.unfinished(tmp_path / "run").file("checkpoints").exists()


def test_skipped_steps_do_nothing_and_the_others_all():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    resume.skip_steps(model, 3, {})
    seen = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append((batch, bool(logs))))
    model.fit(np.ones((5, 1)), np.ones((5, 1)), batch_size=1, verbose=0, callbacks=[watch])
    assert seen == [(0, False), (1, False), (2, False), (3, True), (4, True)]
    assert int(model.optimizer.iterations) == 2
