"""The lines that a search prints while its trials run, from the files that trials write."""

from types import SimpleNamespace

import pytest
from encapnet_tf.trainers.runs.run_directory import RunDirectory
from encapnet_tf.trainers.search.records import RECORD_FILE
from encapnet_tf.trainers.search.trial_lines import TrialLines


@pytest.fixture
def out(tmp_path):
    (tmp_path / "trial_0").mkdir()
    (tmp_path / "trial_1").mkdir()
    return tmp_path


def write(out, trial, epochs, start, status="running"):
    """Write what a trial's worker writes: its record, and the metrics of some epochs."""
    run = RunDirectory(out / f"trial_{trial}")
    record = {"trial": trial, "worker": "worker1", "started": start, "status": status, "epochs": 3}
    row = {"loss": 0.5, "accuracy": 0.25, "val_loss": 0.4, "val_accuracy": 0.5, "seconds": 1.25}
    run.write_json_lines(RunDirectory.metrics_file, [{"epoch": epoch, **row} for epoch in range(1, epochs + 1)])
    run.write_json(RECORD_FILE, {**record, "settings": {"epsilon": 0.1}})


def test_every_epoch_is_printed_once(out, capsys):
    trials = {"worker1": SimpleNamespace(trial_id="0"), "worker2": SimpleNamespace(trial_id="1")}
    lines = TrialLines(SimpleNamespace(ongoing_trials=trials), out)
    lines.print_running()
    assert capsys.readouterr().out == "", "no worker has begun"
    numbers = "loss 0.5000  accuracy 25.00%  validation loss 0.4000  validation accuracy 50.00%  1.2 s\n"
    write(out, "0", 0, "09:00")
    lines.print_running()
    assert capsys.readouterr().out == "trial 0 begins: epsilon 0.1\n"
    write(out, "0", 2, "09:00")
    write(out, "1", 1, "09:01")
    lines.print_running()
    lines.print_running()
    expected = ["trial 0: epoch 1/3  ", "trial 0: epoch 2/3  ", "trial 1: epoch 1/3  "]
    output = capsys.readouterr().out
    assert output.replace("trial 1 begins: epsilon 0.1\n", "") == "".join(line + numbers for line in expected)
    write(out, "0", 3, "09:00", "completed")
    lines.print_trial("0")
    assert capsys.readouterr().out == "trial 0: epoch 3/3  " + numbers


def test_an_interrupted_attempt_is_not_printed_again_and_its_successor_is(out, capsys):
    write(out, "0", 2, "09:00")
    trials = {"worker1": SimpleNamespace(trial_id="0")}
    lines = TrialLines(SimpleNamespace(ongoing_trials=trials), out)
    lines.print_running()
    assert capsys.readouterr().out == ""
    write(out, "0", 1, "09:30")
    lines.print_running()
    assert [line[:18] for line in capsys.readouterr().out.splitlines()] == ["trial 0 begins: ep", "trial 0: epoch 1/3"]
