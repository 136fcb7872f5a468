"""State and results of one training run, read from the JSON and JSON Lines files in its folder."""

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory

FINISHED, RUNNING, FAILED, INTERRUPTED = "finished", "running", "failed", "interrupted"


@dataclass(frozen=True)
class ListedRun:
    """Settings, state and results of one training run, which may be unfinished.

    Attributes:
        path: the run's folder.
        state: "finished"; "running": a process is writing it; "failed": an ablation or a search recorded an error;
            "interrupted": it ended before its last epoch for any other reason, and can be resumed.
        started: time at which the training began.
        config: its settings, the object "config" of config.json.
        epochs_done: number of epochs that are complete.
        epochs: number of epochs to train; None if config.json does not have it.
        test_accuracy: on the test images, 0 to 1; None unless the run is finished.
        validation_accuracy: of the best epoch so far, 0 to 1; None before the first epoch ends.
        seconds: training time so far.
        parameters: number of trainable parameters; None unless the run is finished.
        failure: reason of a failure; None without one.
    """

    path: Path
    state: str
    started: datetime
    config: dict
    epochs_done: int
    epochs: int | None
    test_accuracy: float | None
    validation_accuracy: float | None
    seconds: float
    parameters: int | None
    failure: str | None

    @classmethod
    def read(cls, path: Path) -> "ListedRun":
        """Read the state and results of a training run from its folder.

        Raises:
            UserError: a file is missing or damaged, or is not one that `encapnet train` writes.
        """
        run = RunDirectory(path)
        record = run.read_json(RunDirectory.config_file, "config")
        config = record["config"]
        state = _state(run)
        results = _summary(run) if state == FINISHED else _log(run)
        failure = str(run.read_json(RunDirectory.failure_file, "reason")["reason"]) if state == FAILED else None
        return cls(
            path=path,
            state=state,
            started=_start_time(record.get("started"), run),
            config=config,
            epochs=config.get("epochs"),
            failure=failure,
            **{"test_accuracy": None, "parameters": None, **results},
        )


def _state(run: RunDirectory) -> str:
    if run.is_complete:
        return FINISHED
    if run.is_locked:
        return RUNNING
    return FAILED if run.file(RunDirectory.failure_file).is_file() else INTERRUPTED


def _summary(run: RunDirectory) -> dict:
    """Read the results of a finished training run from summary.json."""
    keys = ("epochs", "test_accuracy", "validation_accuracy", "train_seconds", "parameters")
    values = run.read_json(RunDirectory.summary_file, *keys)
    epochs, test_accuracy, validation_accuracy, seconds, parameters = (
        _number(run, RunDirectory.summary_file, values[key]) for key in keys
    )
    return {
        "epochs_done": epochs,
        "test_accuracy": test_accuracy,
        "validation_accuracy": validation_accuracy,
        "seconds": seconds,
        "parameters": parameters,
    }


def _log(run: RunDirectory) -> dict:
    """Read the latest results of an unfinished training run from its log."""
    file = RunDirectory.metrics_file
    rows = run.read_json_lines(file) if run.file(file).exists() else []
    try:
        columns = {key: [_number(run, file, row[key]) for row in rows] for key in ("epoch", "val_accuracy", "seconds")}
    except (KeyError, TypeError):
        raise UserError(f"{run.file(file)} is damaged: a row lacks epoch, val_accuracy or seconds.") from None
    return {
        "epochs_done": max(columns["epoch"], default=0),
        "validation_accuracy": max(columns["val_accuracy"], default=None),
        "seconds": sum(columns["seconds"]),
    }


def _number(run: RunDirectory, file: str, value):
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise UserError(f"{run.file(file)} is damaged: expected a number, found {value!r}.")
    return value


def _start_time(started, run: RunDirectory) -> datetime:
    """Return the recorded start time of a training run, with the modification time of config.json as a fallback."""
    try:
        time = datetime.fromisoformat(started)
        return time if time.tzinfo else time.astimezone()
    except (TypeError, ValueError):
        return datetime.fromtimestamp(run.file(RunDirectory.config_file).stat().st_mtime).astimezone()
