"""Training of EncapNet-18 on Fashion-MNIST within the time that a benchmark has left."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.contestant import Timing
from benchmarks.harness.processes import ONE_PROCESS, ROOT
from benchmarks.harness.timing import median

EPOCHS = 20  # at most
IMAGES = 60_000
SECONDS = 90  # for the training, at most
START_SECONDS = 45  # for imports and compilation
SLOWDOWN = 1.5  # of an epoch over its bare steps: augmentation, transfers, the test after each epoch


def affordable_epochs(timing, steps, seconds_left, batch):
    """Return the number of epochs for which there is time, 0 if there is none.

    Args:
        timing: `Timing` of `steps` training steps of the network, or a `NotRun`.
        steps: number of steps in a round of the timing.
        seconds_left: for the benchmark.
        batch: number of images of a step.
    """
    if not isinstance(timing, Timing):
        return 0
    epoch = SLOWDOWN * median(timing) / steps * (IMAGES // batch)
    return min(EPOCHS, int((min(SECONDS, seconds_left) - START_SECONDS) / epoch))


def train(flags, epochs, seconds_left, environment):
    """Run `benchmarks.training.fashion_mnist` with one seed, and return its result or the reason why there is none.

    Args:
        flags: with `quick` and `data_dir`.
        epochs: number of epochs.
        seconds_left: when the training is ended.
        environment: environment variables for its process.

    Returns:
        Result as in `training.fashion_mnist.train`; or a string: what went wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--epochs", str(epochs), "--seeds", "0", "--dtype", "mixed_bfloat16", "--feedback", "none"]
        arguments += ["--out", folder]
        arguments += ["--data_dir", str(flags.data_dir)] + ["--quick"] * flags.quick
        reason = _run(arguments, seconds_left, environment)
        file = Path(folder, "fashion_mnist.json")
        return reason or json.loads(file.read_text(encoding="utf-8"))["runs"][0]


def _run(arguments, seconds_left, environment):
    """Run the training, and return what went wrong, or None."""
    if os.environ.get(ONE_PROCESS):
        from benchmarks.training import fashion_mnist

        fashion_mnist.main(arguments)
        return None
    command = [sys.executable, "-m", "benchmarks.training.fashion_mnist", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            timeout=seconds_left,
            stderr=subprocess.PIPE,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {seconds_left:.0f} s"
    lines = done.stderr.strip().splitlines() or ["no message"]
    return lines[-1][:200] if done.returncode else None
