"""Generated command lines, configuration files, calls, damaged files and hostile answers, from a seed.

A few hundred are in the `ci` set, thousands under `slow`. A failure names the case, which the seed makes again.
"""

import contextlib
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.children import in_child, problems_of_calls

AMOUNTS = [
    pytest.param(0, 1, marks=pytest.mark.ci, id="ci"),
    *(pytest.param(seed, 10, marks=pytest.mark.slow, id=f"seed{seed}") for seed in (1, 2, 3)),
]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("seed", "amount"), AMOUNTS)
def test_command_lines_and_configuration_files(seed, amount):
    """The runner needs a process of its own, without Keras."""
    command = [sys.executable, "-m", "tests.fuzz.commands", str(seed), str(200 * amount), str(60 * amount)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


@pytest.mark.parametrize(("seed", "amount"), AMOUNTS)
def test_damaged_run_folders(tmp_path, seed, amount):
    """Whatever the JSON files of a run hold, reading them raises an error for people or gives the right types."""
    from encapnet_tf.trainers.config.run_config import read_run_config
    from encapnet_tf.trainers.listing.listed_run import ListedRun
    from encapnet_tf.trainers.runs.errors import UserError
    from encapnet_tf.trainers.runs.run_directory import RunDirectory

    (tmp_path / "run").mkdir()
    texts = {
        "config.json": '{"config": {"dataset": "digits", "epochs": 3, "depths": [1, 2]}, "started": "2026-01-01"}',
        "summary.json": '{"epochs": 3, "test_accuracy": 0.5, "validation_accuracy": 0.5, "train_seconds": 1, '
        '"parameters": 2}',
        "metrics.jsonl": '{"epoch": 1, "val_accuracy": 0.5, "seconds": 1}\n' * 2,
    }
    pieces = ["", '"', "{", "[", "]", "null", "9", "-", "\0", "\ud83d", "1e999", "NaN", "[" * 5000, "true", ":"]

    def calls():
        rng = random.Random(seed)
        for case in range(100 * amount):
            for name, text in texts.items():
                position = rng.randrange(len(text))
                if rng.random() < 0.6:
                    text = text[:position] + rng.choice(pieces) + text[position + rng.randint(0, 12) :]
                (tmp_path / "run" / name).write_bytes(text.encode("utf-8", "surrogatepass"))
            if rng.random() < 0.5:
                (tmp_path / "run" / "summary.json").unlink()
            run = RunDirectory(tmp_path / "run")
            yield f"list {case}", lambda: ListedRun.read(tmp_path / "run")
            yield f"configure {case}", lambda run=run: read_run_config(run, data_needed=False)

    assert problems_of_calls(calls(), (UserError,)) == []


@pytest.mark.parametrize(("seed", "amount"), AMOUNTS)
def test_calls(seed, amount):
    from tests.core.conformance.bad_inputs import BAD_SETTINGS, CLEAR, bad_arrays, settings_of
    from tests.core.conformance.rows import LAYERS
    from tests.core.conformance.test_bad_inputs import COMPUTED_BEFORE, arguments_of

    rows = [row for row in LAYERS if row.public not in COMPUTED_BEFORE]

    def calls():
        rng = random.Random(seed)
        for _ in range(60 * amount):
            row, settings = rng.choice(rows), {}
            for name in settings_of(row.factory.func):
                if rng.random() < 0.15:
                    settings[name] = rng.choice(BAD_SETTINGS)
            kind, array = rng.choice(list(bad_arrays(row.input(1)).items()))
            array = array if rng.random() < 0.7 else row.input(1)
            yield (
                f"{row.name} {settings} {kind}",
                lambda row=row, settings=settings, array=array: row.call(
                    row.factory.func(**{**arguments_of(row), **settings}), array
                ),
            )

    assert problems_of_calls(calls(), CLEAR) == []


@pytest.mark.parametrize(("seed", "amount"), AMOUNTS)
def test_damaged_model_files(tmp_path, seed, amount):
    import keras

    import encapnet_tf as en

    path = tmp_path / "model.keras"

    def make():
        keras.Sequential([keras.Input((4, 4)), en.layers.CapFC(2, 4), en.layers.CapsuleLength()]).save(path)

    assert in_child(make).status == 0
    good = path.read_bytes()

    def calls():
        rng = random.Random(seed)
        for _ in range(30 * amount):
            damaged = bytearray(good)
            for _ in range(rng.choice([1, 1, 3, 100])):
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            cut = rng.randrange(len(damaged)) if rng.random() < 0.3 else len(damaged)
            yield f"cut at {cut}", lambda damaged=bytes(damaged[:cut]): (path.write_bytes(damaged), en.load_model(path))

    assert problems_of_calls(calls(), (en.ModelFileError,)) == []


@pytest.mark.parametrize(("seed", "amount"), AMOUNTS)
def test_hostile_answers(seed, amount):
    """The bytes of an answer are changed; what passes has the right names, shapes and labels."""
    from encapnet_tf.export.serving.answers import checked_outputs
    from encapnet_tf.export.serving.clients import _outputs
    from encapnet_tf.trainers.runs.errors import UserError

    rng = random.Random(seed)
    row = {"lengths": [0.25, 0.5], "label": 1, "capsules": [[0.25], [0.5]]}
    good = json.dumps({"predictions": [row, row]}).encode()
    for _ in range(300 * amount):
        answer = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 5])):
            position = rng.randrange(len(answer))
            piece = rng.choice([b"", b"NaN", b"[", b"]", b"null", b"1e999", b'"', b"-", b"\xff", b"{}", b"true", b"[]"])
            answer[position : position + rng.randint(0, 3)] = piece
        with contextlib.suppress(UserError):
            outputs = checked_outputs(_outputs("url", bytes(answer), 2), 2, "url")
            assert outputs["lengths"].shape[0] == 2
            assert np.issubdtype(outputs["lengths"].dtype, np.number)
