"""Fixtures of the command's tests: the command in this process, and one finished run that they share."""

from types import SimpleNamespace

import pytest

from tests.trainers.commands.command import TINY, run_command


@pytest.fixture
def encapnet(tmp_path):
    """Function that runs the command in this process, in the test's temporary folder: see `run_command`."""

    def run(*arguments, cwd=tmp_path):
        return run_command(*arguments, cwd=cwd)

    return run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> SimpleNamespace:
    """A tiny finished run on the digits: its `path`, and the `stdout` of its training. Tests must not change it."""
    folder = tmp_path_factory.mktemp("finished") / "tiny"
    result = run_command("train", "--run_dir=tiny", *TINY, cwd=folder.parent)
    assert result.status == 0, result.stderr
    return SimpleNamespace(path=folder, stdout=result.stdout)
