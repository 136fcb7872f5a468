import os
from pathlib import Path

import pytest
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory


@pytest.mark.parametrize("name", ["a b", "run:1", "läuft", "a\nb", "<x>"])
def test_names_are_restricted(tmp_path, name):
    with pytest.raises(UserError, match="letters, digits"):
        RunDirectory.create("digits", tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["", ".", ".."])
def test_no_name_at_all(path):
    with pytest.raises(UserError, match="letters, digits"):
        RunDirectory.create("digits", path)


def test_never_overwritten(tmp_path):
    run = RunDirectory.create("digits", tmp_path / "first")
    run.write_text("note", "mine")
    with pytest.raises(UserError, match="exists already"):
        RunDirectory.create("digits", tmp_path / "first")
    assert run.file("note").read_text() == "mine"


def test_default_names_never_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = {RunDirectory.create("digits").path for _ in range(4)}
    assert len(runs) == 4
    assert all(str(path).startswith("runs/digits/") for path in runs)
    assert all(RunDirectory.is_named_after_time(path) for path in runs)
    assert not RunDirectory.is_named_after_time(Path("runs/20261122"))


def test_parent_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot create the run folder"):
        RunDirectory.create("digits", tmp_path / "file" / "run")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_text("note", "old")

    def half_a_write():
        with run.replacing("note") as path:
            path.write_text("ne")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        half_a_write()
    assert run.file("note").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_the_newest_run_is_named_where_there_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="`encapnet train` wrote\\."):
        RunDirectory.open("nowhere")
    for time, name in enumerate(("digits/a", "b", "photos/unfinished")):
        run = RunDirectory.create("", Path("runs") / name)
        run.write_json("config.json", {})
        os.utime(run.file("config.json"), (time, time))
        if name != "photos/unfinished":
            run.write_json("summary.json", {})
    with pytest.raises(UserError, match="wrote, such as runs/b\\."):
        RunDirectory.open("nowhere")
    with pytest.raises(UserError, match="wrote, such as runs/photos/unfinished\\."):
        RunDirectory.unfinished("nowhere")


def test_open_wants_a_finished_run(tmp_path):
    with pytest.raises(UserError, match="There is no run"):
        RunDirectory.open(tmp_path)
    RunDirectory(tmp_path).write_json(RunDirectory.config_file, {})
    with pytest.raises(UserError, match="did not finish"):
        RunDirectory.open(tmp_path)


def test_a_file_that_lacks_something_is_named(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_json("summary.json", {"seed": 1})
    assert run.read_json("summary.json", "seed") == {"seed": 1}
    with pytest.raises(UserError, match="lacks test_errors"):
        run.read_json("summary.json", "seed", "test_errors")
    run.write_text("summary.json", "[]")
    with pytest.raises(UserError, match="it is no JSON object"):
        run.read_json("summary.json", "seed")


def test_damaged_and_missing_files_are_named(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_text("summary.json", "{")
    with pytest.raises(UserError, match=r"summary\.json cannot be read"):
        run.read_json("summary.json")
    with pytest.raises(UserError, match=r"metrics\.jsonl is missing"):
        run.read_json_lines("metrics.jsonl")
