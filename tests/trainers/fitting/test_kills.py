"""20 kills with SIGKILL at random moments of one run, which resumes each time.

KILLS_TABLE=results/kills.md python -m pytest -m slow tests/trainers/fitting/test_kills.py

The environment variable names the file for a table of the kills; without it none is written.
"""

import itertools
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from encapnet_tf.trainers.evaluation.predictions import saved_model
from encapnet_tf.trainers.fitting.checkpoints.checkpoint import Checkpoint

ROOT = Path(__file__).parents[3]
KILLS, INTERVAL, STEPS, SEED = 20, 5, 20, 0
FLAGS = ["--epochs=40", f"--checkpoint_steps={INTERVAL}", "--num_capsules=4", "--depths=0", "--capsule_dims=2",
         "--strides=2", "--routing=master", "--ema=0.9"]  # fmt: skip
LATEST = 0.4  # seconds after its first new checkpoint that a process may live


def start(folder, *flags):
    command = [sys.executable, "-m", "tests.trainers.fitting.counted_run", "steps", "train", *flags]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    output = process.communicate(timeout=200)[0]
    assert process.returncode == 0, output[-3000:]
    return output


def newest(run):
    return max((int(path.stem.split("-")[1]) for path in run.glob("checkpoints/checkpoint-*.ckpt")), default=-1)


def kill(process, run, generator):
    """Kill the process at a random moment after it has written a new checkpoint; return the seconds after that."""
    newest_before, start_time = newest(run), time.monotonic()
    while newest(run) <= max(newest_before, 0) and process.poll() is None and time.monotonic() - start_time < 200:
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()[0][-3000:]
    delay = generator.uniform(0, LATEST)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it finished before: more epochs are needed"
    return delay


def steps_of_processes(folder):
    """Return the steps that each process trained, in order."""
    processes = {}
    for line in (folder / "steps").read_text().splitlines():
        process, step = map(int, line.split())
        processes.setdefault(process, []).append(step)
    return list(processes.values())


def comparable(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    summary = json.loads((run / "summary.json").read_text())
    timed = ("seconds", "train_seconds", "images_per_second")
    return [{key: value for key, value in row.items() if key not in timed} for row in [*rows, summary]]


@pytest.mark.slow
def test_twenty_kills_lose_nothing(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    finish(start(whole, "--run_dir=run", *FLAGS))
    generator, run, delays = random.Random(SEED), killed / "run", []
    for i in range(KILLS):
        flags = [f"--resume={run}"] if i else ["--run_dir=run", *FLAGS]
        delays.append(kill(start(killed, *flags), run, generator))
        for path in run.glob("checkpoints/checkpoint-*.ckpt"):
            Checkpoint.read(path)
    output = finish(start(killed, f"--resume={run}"))
    assert "damaged" not in output
    processes = steps_of_processes(killed)
    repeated = [max(0, before[-1] - after[0] + 1) for before, after in itertools.pairwise(processes)]
    assert len(processes) == KILLS + 1
    assert all(steps == list(range(steps[0], steps[-1] + 1)) for steps in processes)
    assert all(after[0] <= before[-1] + 1 for before, after in itertools.pairwise(processes)), "a step is missing"
    assert processes[-1][-1] == 40 * STEPS
    assert max(repeated) <= INTERVAL
    assert comparable(run) == comparable(whole / "run")
    for file in ("best.keras", "final.keras"):
        ours, theirs = (saved_model(folder / file).variables for folder in (run, whole / "run"))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(np.array(a), np.array(b))
    if file := os.environ.get("KILLS_TABLE"):
        text = table(processes, repeated, delays, json.loads((run / "summary.json").read_text()))
        Path(file).write_text(text, encoding="utf-8")


def table(processes, repeated, delays, summary):
    """Describe the kills in Markdown."""
    rows = [
        f"| {i + 1} | {steps[0]} | {steps[-1]} | {delay * 1000:.0f} ms | {count} |"
        for i, (steps, delay, count) in enumerate(zip(processes, delays, repeated, strict=False))
    ]
    head = f"""# Killed 20 times

The command `KILLS_TABLE=results/kills.md python -m pytest -m slow tests/trainers/fitting/test_kills.py`,
{platform.machine()}, Python {platform.python_version()}: a run on the digits
(`encapnet train {" ".join(FLAGS)}`, {40 * STEPS} steps)
gets SIGKILL {KILLS} times, each at a random moment after it has written at least one new checkpoint, and resumes with
`--resume`. Checkpoints are written every {INTERVAL} steps and at every epoch's end (every {STEPS} steps).

In the end every line of metrics.jsonl, the summary (test accuracy {summary["test_accuracy"]:.2%}, validation accuracy
{summary["validation_accuracy"]:.2%}, best epoch {summary["best_epoch"]}) and every weight of best.keras and final.keras
equal those of the run that nobody killed, bit for bit; every checkpoint that was there after a kill could be read. At
most {max(repeated)} steps were repeated after a kill, {sum(repeated)} in all.

| kill | first step of the process | last step before the kill | after its first new checkpoint | repeated steps |
|---|---|---|---|---|
"""
    return head + "\n".join(rows) + "\n"
