"""Runs that begin with the last checkpoint of another run, of which nothing changes."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from encapnet_tf.trainers.config import schema
from encapnet_tf.trainers.config.schema import Config
from encapnet_tf.trainers.fitting.checkpoints import continuation
from encapnet_tf.trainers.fitting.checkpoints.checkpoint import Checkpoint, Checkpoints
from encapnet_tf.trainers.fitting.checkpoints.continuation import Continuation
from encapnet_tf.trainers.fitting.network import learning_rate
from encapnet_tf.trainers.fitting.record import describe_schedule
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.report.run_record import RunRecord
from encapnet_tf.trainers.report.summary_sections import result_section
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory

from tests.trainers.fitting.interrupted import STEPS, assert_same_run, stop
from tests.trainers.fitting.run_callbacks import SigtermAt

pytestmark = pytest.mark.usefixtures("without_report")


def contents(run):
    """Every file of a run with its bytes, its time and its number of links."""
    files = [path for path in run.path.rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_nlink) for path in files}


def test_an_interrupted_run_continues_exactly_and_stays_as_it_is(finished_run, tiny, interrupted_run, tmp_path):
    """With the same number of epochs, the new run equals one that was never interrupted."""
    before = contents(interrupted_run)
    config = continuation.configuration(interrupted_run, None, {})
    assert config == tiny
    run, _ = train(config, tmp_path / "new", continue_from=interrupted_run)
    assert_same_run(run, finished_run)
    assert contents(interrupted_run) == before
    record = run.read_json(RunDirectory.config_file)["continued_from"]
    assert record == {
        "run": str(interrupted_run.path),
        "checkpoint": "checkpoint-000000010.ckpt",
        "epoch": 1,
        "step": 4,
        "epochs": 3,
    }
    summary = run.read_json(RunDirectory.summary_file)
    table = dict(result_section(RunRecord.read(run, summary)).table)
    assert table["Continued"] == f"from {interrupted_run.path}, which had trained 1 epoch"


@pytest.mark.ci
def test_a_new_run_that_is_interrupted_resumes_exactly(finished_run, tiny, interrupted_run, tmp_path):
    run = stop(tiny, SigtermAt(2 * STEPS + 1), tmp_path / "new", continue_from=interrupted_run)
    shutil.rmtree(interrupted_run.path)
    train(tiny, resume=run)
    assert_same_run(run, finished_run)


def test_a_finished_run_trains_further_until_early_stopping_ends_it(finished_run, tmp_path, capsys):
    before = contents(finished_run)
    flags = {"epochs": 30, "schedule": "constant", "learning_rate": 1e-6, "checkpoint_steps": 0, "keep_checkpoints": 99}
    config = continuation.configuration(finished_run, None, {**flags, "early_stopping": 1})
    run, summary = train(config, tmp_path / "new", continue_from=finished_run)
    assert contents(finished_run) == before
    rows = run.read_json_lines(RunDirectory.metrics_file)
    assert rows[:3] == finished_run.read_json_lines(RunDirectory.metrics_file)
    accuracies = [row["val_accuracy"] for row in rows]
    is_better = [accuracies[i] > max(accuracies[:i]) for i in range(3, len(rows))]
    assert is_better == [True] * (len(rows) - 4) + [False]
    assert (summary["epochs"], summary["stopped_early"]) == (len(rows), True)
    assert summary["train_seconds"] > finished_run.read_json(RunDirectory.summary_file)["train_seconds"]

    theirs = Checkpoint.read(finished_run.file("checkpoints") / f"checkpoint-{3 * STEPS:09d}.ckpt")
    ours = Checkpoint.read(run.file("checkpoints") / f"checkpoint-{3 * STEPS:09d}.ckpt")
    steps, rate, *moments = ours.arrays["optimizer"]
    assert rate == np.float32(1e-6), "a constant rate is a variable, which the cosine of the earlier run is not"
    for a, b in zip(theirs.arrays["optimizer"], (steps, *moments), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(theirs.arrays["model"], ours.arrays["model"], strict=True):
        np.testing.assert_array_equal(a, b)
    assert Config.from_json(ours.state["config"]) == config
    last = Checkpoint.read(run.file("checkpoints") / f"checkpoint-{len(rows) * STEPS:09d}.ckpt")
    assert last.arrays["optimizer"][0] == len(rows) * STEPS, "the optimizer counts on"
    output = capsys.readouterr().out
    assert f"continues {finished_run.path} at epoch 4, up to epoch 30: 27 more. --epochs=30 counts the epochs" in output
    assert "schedule: constant, as in a run of 30 epochs: the learning rate was " in output
    assert "is 1e-06 in the next step and 1e-06 in the last" in output
    assert "epoch 4/30  loss" in output
    assert "epoch 3/30  loss" not in output
    assert f"stopped early after epoch {len(rows)} of 30: no better validation accuracy in 1 epoch (--early" in output


@pytest.mark.parametrize(("earlier", "later"), [("constant", "cosine"), ("constant", "constant"), ("cosine", "step")])
def test_the_learning_rate_is_that_of_the_new_run(earlier, later, tiny, tmp_path):
    """A constant rate is a variable of the optimizer, other schedules are not."""

    def optimizer(schedule):
        config = replace(tiny, schedule=schedule, learning_rate=0.25)
        optimizer = keras.optimizers.SGD(learning_rate(config, STEPS), momentum=0.9)
        optimizer.build([keras.Variable([1.0, 2.0])])
        return optimizer

    arrays = [keras.ops.convert_to_numpy(variable) for variable in optimizer(earlier).variables]
    continued = Continuation(
        RunDirectory(tmp_path),
        tmp_path,
        Checkpoint({"optimizer": arrays}, {}),
        earlier=replace(tiny, schedule=earlier),
        config=replace(tiny, schedule=later, learning_rate=0.5),
    ).adapted_to(optimizer(later))
    values = continued.checkpoint.arrays["optimizer"]
    assert [value.shape for value in values] == [variable.shape for variable in optimizer(later).variables]
    assert [float(value) for value in values if value.shape == ()] == [0, *([0.5] if later == "constant" else [])]


def test_the_schedule_is_that_of_all_epochs(tiny):
    rate = learning_rate(replace(tiny, epochs=60), STEPS)
    text = describe_schedule(replace(tiny, epochs=60), replace(tiny, epochs=40), STEPS, 40 * STEPS)
    numbers = [float(word) for word in text.replace(",", "").split() if word[0].isdigit() and word != "60"]
    before, first, last = numbers
    assert before < 1e-6
    assert first > 1e-4
    assert first == pytest.approx(float(rate(40 * STEPS)), rel=0.05)
    assert last < 1e-6


def test_settings_that_a_checkpoint_fixes_are_refused(finished_run, tiny):
    assert set(continuation.MAY_CHANGE) < {setting.name for setting in schema.settings()}
    changed = {"epochs": 5, "learning_rate": 0.1, "batch_size": 8, "num_capsules": 8}
    with pytest.raises(UserError) as error:
        continuation.configuration(finished_run, None, changed)
    message = str(error.value)
    assert "differ:\n  batch_size: 16 in the run, 8 on the command line\n  num_capsules: 4 in the run, 8 on" in message
    assert "learning_rate" not in message
    assert f"encapnet train --init_weights={finished_run.path}" in message
    with pytest.raises(UserError, match="recipe: digits in the run, cifar10 on the command line"):
        continuation.configuration(finished_run, "cifar10", {})
    with pytest.raises(UserError, match=r"augment: affine,mixup in the run, \+\+ on the command line"):
        continuation.configuration(finished_run, None, {"augment": ("++",)})
    config = continuation.configuration(finished_run, "digits", {"augment": ("erasing",), "batch_size": 16})
    assert config == replace(tiny, augment=("affine", "erasing"))


def test_runs_that_cannot_continue(finished_run, tiny, interrupted_run, capsys):
    with pytest.raises(UserError, match=r"has trained 3 epochs already.* --epochs=13 trains 10 more"):
        Continuation.find(finished_run, tiny, STEPS)
    with pytest.raises(UserError, match="its epochs have 6 steps, those of the data now 7"):
        Continuation.find(finished_run, replace(tiny, epochs=4), 7)
    checkpoints = interrupted_run.file("checkpoints")
    (checkpoints / "checkpoint-000000010.ckpt").write_bytes(b"")
    before = contents(interrupted_run)
    assert Continuation.find(interrupted_run, tiny, STEPS).path.name == "checkpoint-000000008.ckpt"
    assert (
        "checkpoint-000000010.ckpt is damaged (it is not a checkpoint); the checkpoint bef" in capsys.readouterr().out
    )
    assert contents(interrupted_run) == before, "a damaged file of another run is not renamed"
    for path in Checkpoints(checkpoints).paths():
        path.unlink()
    with pytest.raises(UserError, match=r"there is no undamaged checkpoint in .*--init_weights="):
        Continuation.find(interrupted_run, tiny, STEPS)


def test_a_full_disk_leaves_no_run(finished_run, tiny, tmp_path, monkeypatch):
    def fail(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("encapnet_tf.trainers.fitting.checkpoints.continuation.shutil.copyfile", fail)
    (tmp_path / "new").mkdir()
    with pytest.raises(UserError, match=r"cannot be copied to .*No space left on device\. Nothing was trained"):
        Continuation.find(finished_run, replace(tiny, epochs=4), STEPS).copy_to(RunDirectory(tmp_path / "new"))
    with pytest.raises(UserError, match="There is no run"):
        RunDirectory.existing(tmp_path / "new")
