"""Lists of runs: which folders are runs, their states and results, their order and differing settings."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from encapnet_tf.trainers.fitting import unattended
from encapnet_tf.trainers.listing.listed_run import ListedRun
from encapnet_tf.trainers.listing.run_folders import FolderSearch
from encapnet_tf.trainers.listing.run_list import RunList
from encapnet_tf.trainers.listing.text_table import duration, text_table
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory

from tests.trainers.listing.run_files import write_run


def search(folder):
    result = FolderSearch()
    result.add(folder)
    return result


def test_runs_are_found_at_several_depths_and_other_folders_once(tmp_path):
    for name in ("digits/20261122-182440", "first", "table3/row1/seed0"):
        write_run(tmp_path / name)
    (tmp_path / "first" / "tensorboard" / "train").mkdir(parents=True)  # inside a run
    (tmp_path / ".hidden" / "cache").mkdir(parents=True)
    (tmp_path / "notes" / "old" / "older").mkdir(parents=True)
    (tmp_path / "table3" / "empty").mkdir()
    (tmp_path / "table3" / "table.md").touch()
    (tmp_path / "odd" / "config.json").mkdir(parents=True)  # a folder of that name is no file of a run
    found = search(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found.runs] == [
        "digits/20261122-182440",
        "first",
        "table3/row1/seed0",
    ]
    assert [str(path.relative_to(tmp_path)) for path in found.others] == ["notes", "odd", "table3/empty"]
    assert search(tmp_path / "first").runs == [tmp_path / "first"], "a run itself"
    assert search(tmp_path / "notes").others == [tmp_path / "notes"]
    write_run(tmp_path / "a/b/c/d/e")
    assert tmp_path / "a/b/c/d/e" not in search(tmp_path).runs, "four levels deep"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_reported(tmp_path):
    (tmp_path / "secret").mkdir(mode=0)
    assert search(tmp_path).unreadable == [f"{tmp_path / 'secret'} cannot be read: Permission denied."]


def test_states(tmp_path):
    finished = ListedRun.read(write_run(tmp_path / "finished", summary={}, epochs=(0.1,)))
    assert (finished.state, finished.test_accuracy, finished.validation_accuracy) == ("finished", 0.75, 0.8)
    assert (finished.epochs_done, finished.epochs, finished.seconds, finished.parameters) == (40, 40, 371.4, 1234)

    folder = write_run(tmp_path / "stopped", epochs=(0.5, 0.7, 0.6))
    stopped = ListedRun.read(folder)
    assert (stopped.state, stopped.test_accuracy, stopped.validation_accuracy) == ("interrupted", None, 0.7)
    assert (stopped.epochs_done, stopped.epochs, stopped.seconds, stopped.parameters) == (3, 40, 7.5, None)
    with RunDirectory(folder).locked():
        assert ListedRun.read(folder).state == "running"
    assert ListedRun.read(folder).state == "interrupted", "the lock's file is left behind"

    failed = ListedRun.read(write_run(tmp_path / "failed", failure="The loss became nan"))
    assert (failed.state, failed.failure, failed.epochs_done) == ("failed", "The loss became nan", 0)
    assert failed.validation_accuracy is None
    assert RunDirectory.failure_file == unattended.FAILURE_FILE


def test_real_runs(finished_run):
    run = ListedRun.read(finished_run.path)
    summary = finished_run.read_json(RunDirectory.summary_file)
    assert run.state == "finished"
    assert run.test_accuracy == summary["test_accuracy"]
    assert run.config == finished_run.read_json(RunDirectory.config_file)["config"]
    unfinished = ListedRun.read(Path(__file__).parents[2] / "data" / "version_0_1" / "unfinished_run")
    assert (unfinished.state, unfinished.epochs_done, unfinished.validation_accuracy) == ("interrupted", 1, 0.25)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("config.json", None, "config.json is missing"),
        ("config.json", "{", "config.json cannot be read"),
        ("config.json", '{"architectures": ["Other"]}', "config.json is damaged: it lacks config"),
        ("config.json", '{"config": 3}', "config must be an object, and is 3"),
        ("summary.json", "[]", "summary.json is damaged"),
        ("summary.json", '{"epochs": 3}', "summary.json is damaged: it lacks test_accuracy"),
        ("failed.json", "{}", "failed.json is damaged"),
        ("metrics.jsonl", '{"epoch": 1}\n', "metrics.jsonl is damaged: a row lacks"),
        ("metrics.jsonl", "[1]\n", "line 1 is a list and not an object"),
        (
            "metrics.jsonl",
            '{"epoch": 1, "val_accuracy": "?", "seconds": 1}\n',
            "in line 1, val_accuracy must be a number, and is text",
        ),
        ("metrics.jsonl", '{"epoch": 1, "val_acc', "metrics.jsonl cannot be read"),
    ],
)
def test_damaged_files_are_named(tmp_path, file, text, message):
    write_run(tmp_path / "run")
    if text is None:
        (tmp_path / "run" / file).unlink()
    else:
        (tmp_path / "run" / file).write_text(text)
    with pytest.raises(UserError, match=message):
        ListedRun.read(tmp_path / "run")


def test_start_times(tmp_path):
    run = ListedRun.read(write_run(tmp_path / "a"))
    assert run.started.isoformat() == "2026-11-22T18:24:40+01:00"
    for name, started in (("b", None), ("c", "yesterday")):
        path = write_run(tmp_path / name, started=started)
        os.utime(path / "config.json", (1e9, 1e9))
        assert ListedRun.read(path).started.timestamp() == 1e9
    assert ListedRun.read(write_run(tmp_path / "d", started="2026-11-22T18:24:40")).started.tzinfo is not None


@pytest.fixture
def four_runs(tmp_path):
    """Return four runs of different times, accuracies and states."""
    return [
        ListedRun.read(write_run(tmp_path / "a", summary={"validation_accuracy": 0.9}, seed=1, depths=[1, 1])),
        ListedRun.read(
            write_run(tmp_path / "b", summary={"test_accuracy": 0.99}, started="2026-11-23T00:00:00+01:00", depths=[1])
        ),
        ListedRun.read(write_run(tmp_path / "c", epochs=(0.95,), started="2026-11-21T00:00:00+01:00", epsilon=0.5)),
        ListedRun.read(write_run(tmp_path / "d", started="2026-11-20T00:00:00+01:00", failure='No, "it"\nfailed')),
    ]


def names(run_list):
    return [run.path.name for run in run_list.runs]


def test_orders(four_runs):
    assert names(RunList.of(four_runs, "newest")) == ["b", "a", "c", "d"]
    best = RunList.of(four_runs, "best")
    assert names(best) == ["c", "a", "b", "d"], "by validation accuracy, runs without one last"
    assert best.settings["depths"] == [None, [1, 1], [1], None], "in the order of the runs"
    assert not RunList.of([], "best").runs


def test_records(four_runs):
    run_list = RunList.of(four_runs, "newest")
    record = run_list.records()[1]
    assert record["settings"] == {"depths": [1, 1], "epsilon": 1.0, "seed": 1}
    assert (record["state"], record["test_accuracy"], record["seconds"]) == ("finished", 0.75, 371.4)
    header, *rows = run_list.rows()
    assert header[-3:] == ["depths", "epsilon", "seed"]
    assert rows[1][-3:] == ["1,1", "1.0", "1"]
    assert rows[2][-3:] == [None, "0.5", "0"]
    assert len({len(row) for row in (header, *rows)}) == 1


def test_text_has_columns_where_they_fit_and_else_lines(four_runs):
    run_list = RunList.of(four_runs, "newest")
    header, *rows = text_table(run_list, 1000).splitlines()[:4]
    assert header.split() == [
        *("run", "state", "test", "validation", "epochs", "time", "depths", "epsilon", "seed", "failure"),
    ]
    assert rows[0].split()[1:] == ["finished", "99.00%", "80.00%", "40/40", "6", "min", "11", "s", "1", "1.0", "0"]
    assert rows[2].split()[1:] == ["interrupted", "-", "95.00%", "1/40", "2", "s", "default", "0.5", "0"]
    assert header.index("depths") == rows[1].index("1,1"), "columns are aligned"
    width = max(map(len, text_table(run_list, 1000).splitlines()))
    assert text_table(run_list, width) == text_table(run_list, 1000)
    lines = text_table(run_list, width - 1).splitlines()
    assert lines[0].split() == ["run", "state", "test", "validation", "epochs", "time"]
    assert lines[2] == "    depths=1 epsilon=1.0 seed=0"
    alone = RunList.of(four_runs[:1], "newest")
    assert text_table(alone, 10) == text_table(alone, 1000), "no settings differ"


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(seconds=0), "0 s"),
        (timedelta(seconds=59.4), "59 s"),
        (timedelta(seconds=59.6), "1 min 00 s"),
        (timedelta(minutes=6, seconds=11.4), "6 min 11 s"),
        (timedelta(hours=26, minutes=5), "26 h 05 min"),
    ],
)
def test_durations(time, text):
    assert duration(time.total_seconds()) == text
