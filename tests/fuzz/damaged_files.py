"""Damaged files of runs and models, from a seed."""

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fuzz.children import in_child, problems_of_calls

_TEXTS = {
    "config.json": json.dumps(
        {"config": {"dataset": "digits", "epochs": 3, "depths": [1, 2]}, "started": "2026-01-01"}
    ),
    "summary.json": json.dumps(
        {"epochs": 3, "test_accuracy": 0.5, "validation_accuracy": 0.5, "train_seconds": 1, "parameters": 2}
    ),
    "metrics.jsonl": '{"epoch": 1, "val_accuracy": 0.5, "seconds": 1}\n' * 2,
}
_PIECES = ["", '"', "{", "[", "]", "null", "9", "-", "\0", "\ud83d", "1e999", "NaN", "[" * 5000, "true", ":"]


def problems_of_run_folders(seed: int, count: int) -> list[str]:
    """Damage the JSON files of a run: reading them raises an error for people, or gives values of the right types."""
    from encapnet_tf.trainers.config.run_config import read_run_config
    from encapnet_tf.trainers.listing.listed_run import ListedRun
    from encapnet_tf.trainers.runs.errors import UserError
    from encapnet_tf.trainers.runs.run_directory import RunDirectory

    def calls(folder: Path) -> Iterator[tuple[str, Callable]]:
        rng = random.Random(seed)
        for case in range(count):
            for name, text in _TEXTS.items():
                position = rng.randrange(len(text))
                if rng.random() < 0.6:
                    text = text[:position] + rng.choice(_PIECES) + text[position + rng.randint(0, 12) :]
                (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
            if rng.random() < 0.5:
                (folder / "summary.json").unlink()
            yield f"list {case}", lambda: ListedRun.read(folder)
            yield f"configure {case}", lambda: read_run_config(RunDirectory(folder), data_needed=False)

    with tempfile.TemporaryDirectory() as folder:
        return problems_of_calls(calls(Path(folder)), (UserError,))


def problems_of_models(seed: int, count: int) -> list[str]:
    """Flip bits of a .keras file, and cut it off: loading it gives a model or raises `ModelFileError`."""
    import keras

    import encapnet_tf as en

    def make():
        keras.Sequential([keras.Input((4, 4)), en.layers.CapFC(2, 4), en.layers.CapsuleLength()]).save(path)

    def calls(good: bytes) -> Iterator[tuple[str, Callable]]:
        rng = random.Random(seed)
        for case in range(count):
            damaged = bytearray(good)
            for _ in range(rng.choice([1, 1, 3, 100])):
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
            cut = rng.randrange(len(damaged)) if rng.random() < 0.3 else len(damaged)
            path.write_bytes(damaged[:cut])
            yield f"model {case}, cut at {cut}", lambda: en.load_model(path)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        assert in_child(make).status == 0  # in a child, so that TensorFlow runs no operation in this process
        return problems_of_calls(calls(path.read_bytes()), (en.ModelFileError,))
