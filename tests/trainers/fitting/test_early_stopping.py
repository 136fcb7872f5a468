"""Early stopping: what counts as better, the count after a resume, and what an early end leaves in the run."""

import shutil
from dataclasses import replace

import pytest
from encapnet_tf.trainers.fitting.early_stopping import EarlyStopping, coarse_accuracy_warning
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.report.run_record import RunRecord
from encapnet_tf.trainers.report.summary_sections import result_section
from encapnet_tf.trainers.runs.run_directory import RunDirectory

from tests.trainers.fitting.interrupted import STEPS, assert_same_run, stop
from tests.trainers.fitting.run_callbacks import SigtermAt

pytestmark = pytest.mark.usefixtures("without_report")


@pytest.mark.parametrize(
    ("accuracies", "first_epoch", "waited"),
    [
        ([], 0, 0),
        ([0.5], 0, 0),
        ([0.5, 0.4, 0.5, 0.5], 0, 3),  # an equal accuracy is not better
        ([0.5, 0.4, 0.6], 0, 0),
        ([0.5, 0.4, 0.3, 0.2], 3, 1),  # the epochs of an earlier run do not count as waiting
        ([0.5, 0.4], 3, 0),
    ],
)
def test_count(accuracies, first_epoch, waited):
    stopping = EarlyStopping(1, accuracies, first_epoch)
    assert stopping.waited == waited
    assert stopping.is_over == (waited >= 1)
    assert not EarlyStopping(1, accuracies, first_epoch, decides=False).is_over


def test_few_validation_images_are_mentioned():
    assert "12 validation images, whose accuracy moves in steps of 8.3 points" in coarse_accuracy_warning(5, 12)
    assert coarse_accuracy_warning(5, 200) is None
    assert coarse_accuracy_warning(0, 12) is None


@pytest.fixture(scope="module")
def config(tiny):
    """A run that learns nothing, so that its first epoch stays the best one."""
    return replace(tiny, learning_rate=0.0, l2=0.0, epochs=50, early_stopping=2, ema=0.0, routing_epochs=None)


@pytest.fixture(scope="module")
def stopped_run(config, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("encapnet_tf.trainers.fitting.record.write_report", lambda run, summary: None)
        run, _ = train(config, tmp_path_factory.mktemp("stopped") / "run")
    return run


@pytest.mark.ci
def test_a_run_ends_early_and_is_complete(stopped_run):
    summary = stopped_run.read_json(RunDirectory.summary_file)
    rows = stopped_run.read_json_lines(RunDirectory.metrics_file)
    accuracies = [row["val_accuracy"] for row in rows]
    best = accuracies.index(max(accuracies)) + 1
    assert len(rows) == best + 2 < 50
    assert summary["epochs"] == len(rows)
    assert summary["stopped_early"] is True
    assert stopped_run.file(RunDirectory.best_model_file).exists()
    newest = max(path.name for path in stopped_run.file("checkpoints").glob("*.ckpt"))
    assert newest == f"checkpoint-{len(rows) * STEPS:09d}.ckpt", "of the epoch that was trained last, not of the 50th"
    agreement = stopped_run.read_json_lines(RunDirectory.agreement_file)
    assert max(row["epoch"] for row in agreement) == len(rows), "the last epoch is logged, whichever it is"
    table = dict(result_section(RunRecord.read(stopped_run, summary)).table)
    assert table["Early stopping"].startswith(f"{len(rows)} of 50 epochs were trained; the limit is 2 epochs")


@pytest.mark.ci
def test_a_resumed_run_counts_on(config, stopped_run, tmp_path):
    """Interrupted in the last epoch: a count from 0 would train two epochs more."""
    epochs = stopped_run.read_json(RunDirectory.summary_file)["epochs"]
    run = stop(config, SigtermAt((epochs - 1) * STEPS + 1), tmp_path / "run")
    train(config, resume=run)
    assert_same_run(run, stopped_run)


@pytest.mark.ci
def test_a_run_interrupted_after_its_early_end_trains_no_more(config, stopped_run, tmp_path, capsys):
    shutil.copytree(stopped_run.path, tmp_path / "run")
    (tmp_path / "run" / RunDirectory.summary_file).unlink()
    _, summary = train(config, resume=RunDirectory.unfinished(tmp_path / "run"))
    assert "  loss " not in capsys.readouterr().out
    assert summary["epochs"] == stopped_run.read_json(RunDirectory.summary_file)["epochs"]
