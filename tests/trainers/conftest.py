"""Fixtures of the trainers' tests: the command in this process, and one finished run that tests share."""

import contextlib
import io
import signal
import sys
from types import SimpleNamespace
from unittest import mock

import pytest

TINY = ("--epochs=2", "--num_capsules=4", "--depths=0", "--capsule_dims=2", "--strides=2", "--routing=master")


def run_command(*arguments, cwd) -> SimpleNamespace:
    """Run `encapnet` with some arguments in this process and a folder.

    Returns:
        Its `status`, `stdout` and `stderr`.
    """
    from encapnet_tf.trainers.commands import cli

    argv = ["encapnet", *map(str, arguments)]
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            status = cli._run(cli._parse(argv))
        except SystemExit as exit:
            status = exit.code
    return SimpleNamespace(status=status, stdout=stdout.getvalue(), stderr=stderr.getvalue())


@pytest.fixture
def encapnet(tmp_path):
    """Function that runs the command in this process, in the test's temporary folder: see `run_command`."""

    def run(*arguments, cwd=tmp_path):
        return run_command(*arguments, cwd=cwd)

    return run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> SimpleNamespace:
    """A tiny finished run on the digits: its `path`, and the `stdout` of its training. Tests must not change it."""
    folder = tmp_path_factory.mktemp("finished") / "tiny"
    result = run_command("train", "--run_dir=tiny", *TINY, cwd=folder.parent)
    assert result.status == 0, result.stderr
    return SimpleNamespace(path=folder, stdout=result.stdout)


@pytest.fixture
def heeding_ctrl_c():
    """Ctrl-C as at a terminal, for this process and its children. A process in the background ignores it otherwise."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
