"""The configuration of a run, read in another folder than the one in which the training began."""

import json
from pathlib import Path

import pytest
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.config.run_config import read_run_config
from encapnet_tf.trainers.evaluation.evaluate import run_data
from encapnet_tf.trainers.fitting.checkpoints import resume
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory

from tests.trainers.data.image_files import write_folder


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of the folder `photos` beside it, seen from a third folder."""
    write_folder(tmp_path / "photos", per_class=10, size=(8, 8))
    config = resolve("digits", {"dataset": "folder", "data_dir": "photos"})
    record = {"config": config.to_json(), "working_directory": str(tmp_path)}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(record))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return RunDirectory(tmp_path / "run")


def test_relative_paths_are_found_from_another_folder(run, tmp_path, monkeypatch):
    assert run_data(run).image_shape == (8, 8, 3)
    assert resume.configuration(run, None, {}).data_dir == str(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    assert read_run_config(run).data_dir == "photos"


def test_moved_data_are_reported_with_their_old_place(run, tmp_path):
    (tmp_path / "photos").rename(tmp_path / "pictures")
    for read in (run_data, lambda run: resume.configuration(run, None, {})):
        with pytest.raises(UserError, match=rf"data from {tmp_path / 'photos'}, .* set data_dir in .*config.json"):
            read(run)
    assert read_run_config(run, data_needed=False).data_dir == "photos"
    moved = resume.configuration(run, None, {"data_dir": "../pictures"})
    assert moved.data_dir == "../pictures"
    resume._check_same_settings({**moved.__dict__, "data_dir": "photos"}, moved, "in a checkpoint")


@pytest.mark.ci
def test_a_run_names_the_folder_in_which_it_began(finished_run):
    assert Path(finished_run.read_json(RunDirectory.config_file)["working_directory"]).is_dir()
