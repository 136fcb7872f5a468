"""SIGKILL, SIGTERM and Ctrl-C at random moments of `train`, `tune`, `export` and `report`, start-up included.

INTERRUPTIONS_TABLE=results/interruptions.md python -m pytest -m slow -n 0 tests/fuzz/test_interrupted_commands.py

A command that was interrupted says nothing that looks like a fault, the files from before are whole, and the same
command, or `--resume`, ends well. The environment variable names the file for a table; without it none is written.
"""

import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOMENTS, SEED = 30, 0
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TINY = ("--num_capsules=4", "--depths=0", "--capsule_dims=2", "--strides=2", "--routing=master", "--routing_epochs=0")
PAGE_ENDS = "</html>"
TABLE = """# Commands interrupted at random moments

`INTERRUPTIONS_TABLE=results/interruptions.md python -m pytest -m slow -n 0 tests/fuzz/test_interrupted_commands.py`,
{machine}, Python {python}. Each command is interrupted by SIGKILL, SIGTERM or Ctrl-C, drawn at random, at a random
moment between its start and its usual end. After each interruption the earlier files are whole and readable, and no
output has a traceback; then the same command (with `--resume` for a run) goes on, and once it has ended, it is begun
anew.

| command | moments | SIGKILL | SIGTERM | Ctrl-C | had ended before |
|---|---|---|---|---|---|
"""


def run(folder, *words, seconds=None, number=None):
    """Run a command, and send a signal after some seconds; return its status and output."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'encapnet'; from encapnet_start import main; main()", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )
    try:
        output = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(number)
        try:
            output = process.communicate(timeout=60)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{words} hangs after {number.name} at {seconds:.1f} s") from None
    assert "Traceback" not in output, (words, seconds, number, output[-3000:])
    return process.returncode, output


def read_all_json(folder):
    """Read every JSON file below a folder, which must be whole."""
    for path in Path(folder).rglob("*.json"):
        json.loads(path.read_text())
    for path in Path(folder).rglob("*.jsonl"):
        lines = path.read_text().split("\n")
        assert lines[-1] == "", f"{path} has a line that was cut off"
        for line in lines[:-1]:
            json.loads(line)


def train_once(name):
    """Train one epoch, to have a finished run of a name in the current folder."""
    status, output = run(Path(), "train", f"--run_dir={name}", "--epochs=1", *TINY)
    assert status == 0, output


class Training:
    """A run that is interrupted and resumed."""

    verb = "train"

    def __init__(self):
        self.count = 0  # of folders before the one that is written

    def words(self):
        path = f"run{self.count}"
        if Path(path, "config.json").exists():
            return ["train", f"--resume={path}"]
        return ["train", f"--run_dir={path}", "--epochs=8", "--checkpoint_steps=5", *TINY]

    def check(self, status):
        if Path(f"run{self.count}", "summary.json").exists():
            assert PAGE_ENDS in Path(f"run{self.count}", "report.html").read_text()[-20:]
            self.count += 1
        elif not Path(f"run{self.count}", "config.json").exists() and Path(f"run{self.count}").exists():
            self.count += 1  # a folder without a run: the next one takes another name


class Search:
    """A search that is interrupted and goes on."""

    verb = "tune"

    def __init__(self):
        self.count = 0  # of folders before the one that is written

    def words(self):
        out = f"--out=search{self.count}"
        if Path(f"search{self.count}", "search.json").exists():
            return ["tune", out, "--resume"]
        return ["tune", out, "--search=learning_rate", "--trials=3", "--retrain=0", "--epochs=1", *TINY]

    def check(self, status):
        folder = Path(f"search{self.count}")
        if status == 0 or (folder.exists() and not (folder / "search.json").exists()):
            self.count += 1  # it has ended, or is a folder without a search yet: the next one takes another name


class Export:
    """Exports of one run to one name: each that ends adds a version."""

    verb = "export"

    def __init__(self):
        train_once("exported")

    def words(self):
        return ["export", "exported", "--tflite=float32", "--images=10", "--name=digits"]

    def check(self, status):
        folder = Path("exports/digits")
        for version in folder.glob("saved_model/*"):
            assert {"saved_model.pb", "variables", "assets"} <= {path.name for path in version.iterdir()}
        if list(folder.glob("saved_model/*")):
            files = {path.name for path in folder.iterdir()}
            assert {"digits.tflite", "labels.txt", "metadata.json", "parity.json", "model_card.md", "serving"} <= files


class Report:
    """The report of a run, written again."""

    verb = "report"

    def __init__(self):
        train_once("reported")

    def words(self):
        return ["report", "reported"]

    def check(self, status):
        assert Path("reported/report.html").read_text().rstrip().endswith(PAGE_ENDS)


@pytest.mark.slow
@pytest.mark.parametrize("task", [Training, Search, Export, Report])
def test_interrupted_at_random_moments(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator, counts = random.Random(SEED), Counter()
    task = task()
    start = time.monotonic()
    status, output = run(tmp_path, *task.words())
    usual = time.monotonic() - start
    assert status == 0, output
    task.check(status)
    for _ in range(MOMENTS):
        number = generator.choice(SIGNALS)
        status, output = run(tmp_path, *task.words(), seconds=generator.uniform(0, usual), number=number)
        assert status in (0, -number, 128 + number), (status, number, output[-2000:])
        counts[number if status else 0] += 1
        read_all_json(tmp_path)
        task.check(status)
    status, output = run(tmp_path, *task.words())
    assert status == 0, output[-3000:]
    task.check(status)
    if table := os.environ.get("INTERRUPTIONS_TABLE"):
        write_row(Path(table), task.verb, counts)


def write_row(path, verb, counts):
    """Add the row of a command to the table, which is begun by the first one."""
    head = TABLE.format(machine=platform.machine(), python=platform.python_version())
    text = head if verb == "train" else path.read_text()
    cells = [MOMENTS, *(counts[number] for number in SIGNALS), counts[0]]
    path.write_text(f"{text}| `encapnet {verb}` | {' | '.join(map(str, cells))} |\n")
