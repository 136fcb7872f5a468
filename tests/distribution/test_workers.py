"""Two processes of this machine train one model."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FLAGS = ["--epochs=2", "--num_capsules=4", "--depths=1", "--capsule_dims=2", "--strides=2", "--routing=master",
         "--train_limit=120", "--batch_size=16", "--checkpoint_steps=2", "--optimizer=adam", "--schedule=constant",
         "--augment=affine", "--feedback=half", "--feedback_weight=0.1", "--synchronized=true", "--sync_replicas=true",
         "--routing_epochs=0"]  # fmt: skip


def start(folder, *flags, workers=2):
    """Start the worker processes of one training, each with an address of its own."""
    sockets = [socket.socket() for _ in range(workers)]
    for one in sockets:
        one.bind(("localhost", 0))
    addresses = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    processes = []
    for index in range(workers):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {
            **os.environ,
            "TF_CONFIG": json.dumps(task),
            "CUDA_VISIBLE_DEVICES": "-1",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "tests.distribution.worker", f"worker{index}.npz", "train", *flags]
        processes.append(
            subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    return processes


def finish(processes):
    """Wait for processes to end; return their exit statuses and outputs."""
    try:
        outputs = [process.communicate(timeout=200)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], outputs


def weights(folder, index):
    with np.load(folder / f"worker{index}.npz") as arrays:
        return [arrays[name] for name in arrays.files]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Folder and outputs of a run of two workers."""
    folder = tmp_path_factory.mktemp("workers")
    statuses, outputs = finish(start(folder, "--run_dir=run", *FLAGS))
    assert statuses == [0, 0], "\n".join(output[-3000:] for output in outputs)
    return folder, outputs


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.ci
def test_two_workers_end_with_identical_weights(together):
    folder, outputs = together
    for ours, theirs in zip(weights(folder, 0), weights(folder, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert "on 2 replicas" in outputs[0]
    assert "epoch" not in outputs[1], "only the chief prints"
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["run"], "only the chief writes"
    assert json.loads((folder / "run" / "summary.json").read_text())["epochs"] == len(rows(folder / "run")) == 2


@pytest.mark.slow
def test_two_workers_log_what_one_process_does(together):
    """As far as float32 carries: what a step computes is the same, batch statistics and units' divergences included."""
    folder, _ = together
    command = [sys.executable, "-m", "tests.distribution.worker", "alone.npz", "train", "--run_dir=alone", *FLAGS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    alone = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert alone.returncode == 0, alone.stderr[-3000:]
    for row, expected in zip(rows(folder / "run"), rows(folder / "alone"), strict=True):
        for name in ("loss", "class_loss", "module1_feedback_half", "val_loss"):
            assert row[name] == pytest.approx(expected[name], rel=1e-2), name


def await_checkpoint(run, after):
    """Wait until the run has a checkpoint newer than a step; return the checkpoint's step."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        steps = [int(path.stem.split("-")[1]) for path in run.glob("checkpoints/checkpoint-*.ckpt")]
        if max(steps, default=0) > after:
            return max(steps)
        time.sleep(0.05)
    raise TimeoutError(f"no checkpoint after step {after}")


@pytest.mark.slow
def test_stopped_workers_and_a_killed_one_go_on_together(tmp_path):
    """SIGTERM to one stops all; SIGKILL to one is reported by the other; both times all resume."""
    run = tmp_path / "run"
    processes = start(tmp_path, "--run_dir=run", *FLAGS, "--epochs=30")
    step = await_checkpoint(run, 6)
    processes[1].send_signal(signal.SIGTERM)
    statuses, outputs = finish(processes)
    assert statuses == [143, 143], "\n".join(output[-2000:] for output in outputs)
    processes = start(tmp_path, "--resume=run")
    await_checkpoint(run, step + 12)
    processes[1].send_signal(signal.SIGKILL)
    statuses, outputs = finish(processes)
    assert statuses == [1, -signal.SIGKILL], outputs[0][-2000:]
    assert "resumes at epoch" in outputs[0]
    assert "The workers lost their connection" in outputs[0]
    statuses, outputs = finish(start(tmp_path, "--resume=run"))
    assert statuses == [0, 0], "\n".join(output[-2000:] for output in outputs)
    assert [row["epoch"] for row in rows(run)] == list(range(1, 31))
    for ours, theirs in zip(weights(tmp_path, 0), weights(tmp_path, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_workers_stop_early_together_and_continue_a_run(together, tmp_path):
    folder, _ = together
    flags = ["--continue_from=run", "--epochs=30", "--schedule=constant", "--learning_rate=0", "--early_stopping=1"]
    statuses, outputs = finish(start(folder, "--run_dir=stopped", *flags))
    assert statuses == [0, 0], "\n".join(output[-2000:] for output in outputs)
    epochs = [row["epoch"] for row in rows(folder / "stopped")]
    assert epochs == list(range(1, len(epochs) + 1))
    assert 2 < len(epochs) < 30
    assert f"stopped early after epoch {len(epochs)} of 30" in outputs[0]
    assert "stopped" not in outputs[1]
    for ours, theirs in zip(weights(folder, 0), weights(folder, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)
