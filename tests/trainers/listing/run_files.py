"""Folders with the small files of a run, written without training."""

import json
from pathlib import Path

SUMMARY = {
    "epochs": 40,
    "test_accuracy": 0.75,
    "validation_accuracy": 0.8,
    "train_seconds": 371.4,
    "parameters": 1234,
}


def write_run(folder: Path, *, started="2026-11-22T18:24:40+01:00", summary=None, epochs=(), failure=None, **settings):
    """Write config.json and, where they are given, summary.json, the validation accuracies of epochs, and a failure.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    config = {"recipe": "digits", "epochs": 40, **settings}
    (folder / "config.json").write_text(json.dumps({"config": config, "started": started}))
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(SUMMARY | summary))
    if epochs:
        rows = [{"epoch": i, "val_accuracy": accuracy, "seconds": 2.5} for i, accuracy in enumerate(epochs, start=1)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if failure is not None:
        (folder / "failed.json").write_text(json.dumps({"reason": failure}))
    return folder
