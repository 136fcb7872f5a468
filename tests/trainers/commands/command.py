"""The command in this process: what a user would type, its exit status and its output."""

import contextlib
import io
import sys
from types import SimpleNamespace
from unittest import mock

from encapnet_tf.trainers.commands import cli

TINY = ("--epochs=2", "--num_capsules=4", "--depths=0", "--capsule_dims=2", "--strides=2", "--routing=master")


def run_command(*arguments, cwd) -> SimpleNamespace:
    """Run `encapnet` with some arguments in this process and a folder.

    Returns:
        Its `status`, `stdout` and `stderr`.
    """
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
