"""Interrupted runs that resume: no step is lost or repeated, and what cannot resume is reported."""

import os
import resource
import signal
from collections import namedtuple
from dataclasses import replace

import keras
import numpy as np
import pytest
from encapnet_tf.trainers.config.schema import Config
from encapnet_tf.trainers.fitting import checkpoint_writer
from encapnet_tf.trainers.fitting.checkpoints import resume
from encapnet_tf.trainers.fitting.checkpoints.checkpoint import Checkpoints
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory

from tests.trainers.fitting.interrupted import STEPS, assert_same_run, stop
from tests.trainers.fitting.run_callbacks import SigtermAt

Callback = keras.callbacks.LambdaCallback

pytestmark = pytest.mark.usefixtures("without_report")


def sigterm(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.ci
def test_interrupted_in_the_first_steps_and_at_the_end_of_another_epoch(finished_run, tiny, tmp_path, capsys):
    """In the first steps the momentum of batch normalisation depends on the step."""
    run = stop(tiny, SigtermAt(1), tmp_path / "run")
    stop(tiny, SigtermAt(3), resume=run)
    stop(tiny, SigtermAt(2 * STEPS), resume=run)
    train(tiny, resume=run)
    output = capsys.readouterr().out
    assert "resumes at epoch 1, step 2, from " in output
    assert "resumes at epoch 1, step 4, from " in output
    assert f"resumes at epoch 2, step {STEPS + 1}, from " in output
    assert_same_run(run, finished_run)
    record = run.read_json(RunDirectory.config_file)
    assert len(record["resumed"]) == 3
    assert Config.from_json(record["config"]) == tiny


def test_a_damaged_newest_checkpoint_costs_one_interval(finished_run, tiny, interrupted_run, capsys):
    newest = interrupted_run.file("checkpoints") / "checkpoint-000000010.ckpt"
    newest.write_bytes(newest.read_bytes()[:1000])
    train(tiny, resume=interrupted_run)
    output = capsys.readouterr().out
    assert "checkpoint-000000010.ckpt is damaged (its checksum is wrong)" in output
    assert "from " + str(interrupted_run.file("checkpoints") / "checkpoint-000000008.ckpt") in output
    assert_same_run(interrupted_run, finished_run)


@pytest.mark.ci
def test_interrupted_before_the_first_checkpoint_and_after_the_last_epoch(finished_run, tiny, tmp_path, capsys):
    def interrupt(logs):
        raise KeyboardInterrupt

    with pytest.raises(UserError, match=r"Interrupted.*--resume") as error:
        train(tiny, tmp_path / "run", callbacks=[Callback(on_train_begin=interrupt)])
    assert error.value.status == 130
    run = RunDirectory.unfinished(tmp_path / "run")
    stop(tiny, Callback(on_train_end=sigterm), resume=run)
    assert "training starts from the beginning" in capsys.readouterr().out
    train(tiny, resume=run)
    assert_same_run(run, finished_run)


@pytest.mark.ci
@pytest.mark.parametrize(
    ("settings", "step"),
    [
        ({"ema": 0.0, "augment": ("none",), "optimizer": "adamw", "l2": 0.0}, STEPS),
        ({"feedback": "half", "feedback_weight": 0.1}, STEPS + 1),
    ],
    ids=["no averages, integer labels, end of the first epoch", "feedback units, first step of the second epoch"],
)
def test_resumed_with_other_settings(settings, step, tiny, tmp_path):
    config = replace(tiny, **settings)
    whole, _ = train(config, tmp_path / "whole")
    run = stop(config, SigtermAt(step), tmp_path / "run")
    train(config, resume=run)
    assert_same_run(run, whole)


def test_files_are_reset_to_the_checkpoint(tiny, interrupted_run):
    """A best model and log lines that are newer than the checkpoint are removed."""
    best_model = interrupted_run.file(RunDirectory.best_model_file).read_bytes()
    rows = interrupted_run.read_json_lines(RunDirectory.metrics_file)
    interrupted_run.write_text(RunDirectory.best_model_file, "of epoch 2")
    interrupted_run.write_json_lines(RunDirectory.metrics_file, [*rows, {"epoch": 2}])
    start = resume.find_start(interrupted_run, Checkpoints(interrupted_run.file("checkpoints")), tiny, STEPS)
    assert (start.epoch, start.step) == (1, 4)
    assert interrupted_run.file(RunDirectory.best_model_file).read_bytes() == best_model
    assert interrupted_run.read_json_lines(RunDirectory.metrics_file) == rows


def test_other_settings_are_refused_with_their_list(tiny, interrupted_run):
    assert resume.configuration(interrupted_run, None, {}) == tiny
    assert resume.configuration(interrupted_run, "digits", {"epochs": 3}) == tiny
    with pytest.raises(UserError) as error:
        resume.configuration(interrupted_run, None, {"epochs": 5, "seed": 0, "learning_rate": 0.1})
    lines = "epochs: 3 in the run, 5 on the command line\n  learning_rate: 0.003 in the run, 0.1 on the command line"
    assert lines in str(error.value)
    assert "seed" not in str(error.value)
    with pytest.raises(UserError, match="recipe: digits in the run, cifar10 on the command line"):
        resume.configuration(interrupted_run, "cifar10", {})
    record = interrupted_run.read_json(RunDirectory.config_file)
    interrupted_run.write_json(RunDirectory.config_file, record | {"config": record["config"] | {"batch_size": 15}})
    with pytest.raises(UserError, match=r"batch_size: 15 in the run, 16 in checkpoint-000000010\.ckpt"):
        train(resume.configuration(interrupted_run, None, {}), resume=interrupted_run)


def test_other_data_are_refused(tiny, interrupted_run):
    with pytest.raises(UserError, match="has 6 steps an epoch; the data now give 7"):
        resume.find_start(interrupted_run, Checkpoints(interrupted_run.file("checkpoints")), tiny, 7)


def test_two_processes_never_write_one_run(tiny, interrupted_run):
    with interrupted_run.locked(), pytest.raises(UserError, match=f"is being written by process {os.getpid()} on"):
        train(tiny, resume=interrupted_run)


def test_runs_that_cannot_resume(finished_run, tiny, tmp_path, interrupted_run):
    with pytest.raises(UserError, match="There is no run"):
        RunDirectory.unfinished(tmp_path)
    with pytest.raises(UserError, match="is complete"):
        RunDirectory.unfinished(finished_run.path)
    for path in interrupted_run.file("checkpoints").glob("*.ckpt"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"Every checkpoint in .* is damaged"):
        train(tiny, resume=interrupted_run)


def test_too_little_space_is_reported_before_the_first_step(tiny, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(checkpoint_writer.shutil, "disk_usage", lambda path: usage(100_000))
    with pytest.raises(UserError, match=r"has room for 0 MiB.*Nothing was trained yet"):
        train(tiny, tmp_path / "run")


@pytest.fixture
def limit_file_size():
    """Function that limits the size of files: beyond it a write fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_without_space_is_reported_before_the_first_step(tiny, tmp_path, limit_file_size):
    limit_file_size(20_000)
    with pytest.raises(UserError, match=r"first checkpoint cannot be written.*Nothing was trained yet"):
        train(tiny, tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_training_continues_when_the_disk_is_full_for_a_while(finished_run, tiny, tmp_path, limit_file_size, capsys):
    """The checkpoint of step 4 fails; that of the first epoch's end has space again."""
    steps = iter(range(1, 3 * STEPS + 1))
    disk = Callback(on_train_batch_end=lambda batch, logs: limit_file_size(20_000 if next(steps) == 4 else -1))
    run, _ = train(tiny, tmp_path / "run", callbacks=[disk])
    messages = capsys.readouterr().err
    assert "The checkpoint of epoch 1, step 4 cannot be written" in messages
    assert "Training continues" in messages
    assert messages.count("cannot be written") == 1
    assert_same_run(run, finished_run)


def test_another_file_that_cannot_be_written_ends_the_run(tiny, tmp_path):
    def fail(epoch, logs):
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"No space left on device.*--resume=") as error:
        train(tiny, tmp_path / "run", callbacks=[Callback(on_epoch_begin=fail)])
    assert error.value.status == 1
    assert RunDirectory.unfinished(tmp_path / "run").file("checkpoints").exists()


def test_skipped_steps_do_nothing_and_the_others_all():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    resume.skip_steps(model, 3, {})
    calls = []
    watch = Callback(on_train_batch_end=lambda batch, logs: calls.append((batch, bool(logs))))
    model.fit(np.ones((5, 1)), np.ones((5, 1)), batch_size=1, verbose=0, callbacks=[watch])
    assert calls == [(0, False), (1, False), (2, False), (3, True), (4, True)]
    assert int(model.optimizer.iterations) == 2
