"""Fixtures of the tests of one training."""

import shutil

import pytest


@pytest.fixture
def without_report(monkeypatch):
    """Leaves the report out of finished runs: its pictures take longer than such a training."""
    monkeypatch.setattr("encapnet_tf.trainers.fitting.record.write_report", lambda run, summary: None)


@pytest.fixture(scope="session")
def _interrupted_run(shared_folder, tiny):
    from tests.trainers.fitting.interrupted import stop
    from tests.trainers.fitting.run_callbacks import SigtermAt

    return shared_folder("interrupted_run", lambda folder: stop(tiny, SigtermAt(10), folder / "run")) / "run"


@pytest.fixture
def interrupted_run(_interrupted_run, tmp_path):
    """A run stopped after 10 steps, the 4th of its second epoch; its checkpoints are of steps 6, 8 and 10."""
    from encapnet_tf.trainers.runs.run_directory import RunDirectory

    shutil.copytree(_interrupted_run, tmp_path / "run")
    return RunDirectory.unfinished(tmp_path / "run")
