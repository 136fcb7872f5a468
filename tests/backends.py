"""Interpreters of other Keras backends, with which tests start programs.

A backend of another environment is used through its interpreter: ENCAPNET_JAX_PYTHON=/path/to/python pytest ...
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def interpreter(backend):
    """Return the path of a Python that has the backend, or skip the test if there is none."""
    path = os.environ.get(f"ENCAPNET_{backend.upper()}_PYTHON")
    if path is None and importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    return path or sys.executable


def run_on(backend, arguments, folder, **variables):
    """Run a Python program on a Keras backend in a folder, and return what it printed.

    Args:
        backend: "jax" or "torch".
        arguments: of the interpreter: the program's path or -m and its module, and its own.
        folder: to run it in.
        **variables: further environment variables.
    """
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), **variables}
    command = [interpreter(backend), *map(str, arguments)]
    child = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr[-3000:]
    return child.stdout
