"""`encapnet runs`: its output in every format, and folders that are no runs."""

import csv
import io
import json
import shutil
import subprocess
import sys

import pytest

from tests.trainers.listing.run_files import write_run


@pytest.fixture
def runs(trained_run, tmp_path):
    """Write a finished run, an interrupted one and folders that are none; return the folder of all."""
    folder = tmp_path / "runs"
    folder.mkdir()
    write_run(folder / "digits" / "cut, off", started="2020-01-01T00:00:00+00:00", epochs=(0.5,), note='"a", b')
    shutil.copytree(trained_run.path, folder / "digits" / "whole", ignore=shutil.ignore_patterns("*.keras", "check*"))
    (folder / "notes").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "config.json").write_text("{")
    return folder


def test_text(runs, encapnet, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    result = encapnet("runs")
    assert result.status == 0
    header, whole, cut = result.stdout.splitlines()
    assert header.startswith("run  ")
    assert "num_capsules" in header.split()
    assert whole.split()[:2] == ["runs/digits/whole", "finished"]
    assert cut.startswith("runs/digits/cut, off  interrupted")
    assert result.stderr.splitlines() == [
        "left out: runs/broken/config.json cannot be read: Expecting property name enclosed in double quotes: line 1 "
        "column 2 (char 1).",
        "no run in: runs/notes",
    ]
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, encapnet("runs").stdout.splitlines())) <= 80


def test_csv_and_json(runs, encapnet, trained_run):
    summary = json.loads((trained_run.path / "summary.json").read_text())
    whole, cut = csv.DictReader(io.StringIO(encapnet("runs", "--format=csv").stdout))
    assert (cut["run"], cut["note"], cut["validation_accuracy"]) == ("runs/digits/cut, off", '"a", b', "0.5")
    assert float(whole["test_accuracy"]) == summary["test_accuracy"]
    assert (whole["num_capsules"], cut["num_capsules"]) == ("4", "")
    result = encapnet("runs", "--format=json", "--sort=best", "runs/digits")
    assert result.stderr == ""
    records = {record["run"]: record for record in map(json.loads, result.stdout.splitlines())}
    whole, cut = records["runs/digits/whole"], records["runs/digits/cut, off"]
    assert whole["settings"]["num_capsules"] == 4
    assert cut["settings"] == {**cut["settings"], "note": '"a", b', "num_capsules": None}
    assert (whole["parameters"], cut["parameters"]) == (summary["parameters"], None)
    assert list(records) == sorted(records, key=lambda run: -records[run]["validation_accuracy"])


def test_folders_on_the_command_line(runs, encapnet):
    """Several, one within another, and a run itself; of many folders without runs some are named."""
    result = encapnet("runs", "runs/digits/whole", "runs/digits", "--format=json")
    assert [json.loads(line)["run"] for line in result.stdout.splitlines()] == [
        "runs/digits/whole",
        "runs/digits/cut, off",
    ]
    for i in range(7):
        (runs / "digits" / f"empty{i}").mkdir()
    result = encapnet("runs", "runs/digits")
    assert result.stderr.startswith("no run in: runs/digits/empty0, runs/digits/empty1, ")
    assert result.stderr.endswith("empty4 and 2 other folders\n")
    result = encapnet("runs", "runs/notes", "--format=csv")
    assert (result.status, result.stderr) == (0, "no run in: runs/notes\n")
    assert result.stdout.startswith("run,state,started,")
    assert encapnet("runs", "runs/notes").stdout == ""


def test_a_reader_that_ends_early_is_no_error(runs):
    """Also with names that are no UTF-8."""
    write_run(runs / "digits" / "gr\udcfcn", epochs=(0.5,))
    command = [sys.executable, "-m", "encapnet_start", "runs", "--format=json"]
    process = subprocess.Popen(command, cwd=runs.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait(timeout=60) == 141
    assert "Traceback" not in errors
    output = subprocess.run([*command[:-1]], cwd=runs.parent, capture_output=True, timeout=60).stdout
    assert b"runs/digits/gr\xfcn " in output
