"""The files of a search's trials: which are whole, and what they say."""

import json
import math
from pathlib import Path

from ..runs.atomic_files import set_aside
from ..runs.run_directory import RunDirectory

DAMAGED = "damaged"
RECORD_FILE = "record.json"  # in a trial's folder: its settings, result or failure
TRIALS, TRIAL_FILE, ORACLE_FILE = "trial_*", "trial.json", "oracle.json"
_TRIAL_KEYS = ("trial_id", "hyperparameters", "metrics", "score", "best_step", "status", "message")
_ORACLE_KEYS = ("start_order", "end_order", "hyperparameters", "values", "seed_state", "run_times", "display")


def set_aside_damaged(out: Path) -> list[str]:
    """Moves what cannot be resumed from into the folder "damaged".

    A trial is whole if KerasTuner's trial.json and, of a trial that has ended, our record.json and the log of one that
    completed can be read and agree.

    Args:
        out: the search's folder.

    Returns:
        What was wrong with each thing that was moved, and where it is now.
    """
    found = []
    for place in sorted(out.glob(TRIALS)):
        if wrong := _wrong_with_trial(place):
            found.append(f"{wrong}; moved to {set_aside(place, '-', out / DAMAGED)}, the trial is run again")
    oracle = out / ORACLE_FILE
    if oracle.exists() and (wrong := _wrong_with_json(oracle, _ORACLE_KEYS)):
        found.append(f"{wrong}; moved to {set_aside(oracle, '-', out / DAMAGED)}, its trials are kept")
    return found


def _wrong_with_trial(place) -> str | None:
    if wrong := _wrong_with_json(place / TRIAL_FILE, _TRIAL_KEYS):
        return wrong
    trial = json.loads((place / TRIAL_FILE).read_text(encoding="utf-8"))
    if f"trial_{trial['trial_id']}" != place.name or not place.name.removeprefix("trial_").isdecimal():
        return f"{place / TRIAL_FILE} is of another trial, {trial['trial_id']}"
    if not isinstance(trial["hyperparameters"], dict) or not isinstance(trial["hyperparameters"].get("values"), dict):
        return f"{place / TRIAL_FILE} has no values"
    if trial["status"] not in ("COMPLETED", "FAILED"):
        return None  # it is run again as it is
    if wrong := _wrong_with_json(place / RECORD_FILE, ("trial", "status", "settings")):
        return wrong
    record = json.loads((place / RECORD_FILE).read_text(encoding="utf-8"))
    if record["status"] != trial["status"].lower():
        return f"{place} has a record that says {record['status']} where KerasTuner's says {trial['status'].lower()}"
    if trial["status"] == "FAILED":
        return None
    if not all(_finite(value) for value in (trial["score"], record.get("validation_accuracy"))):
        return f"{place / TRIAL_FILE} has no score"
    return _wrong_with_log(place / RunDirectory.metrics_file, record)


def _wrong_with_log(path, record) -> str | None:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        whole = len(rows) == record["epochs"]
    except (OSError, ValueError, KeyError) as error:
        return f"{path} cannot be read: {error}"
    return None if whole else f"{path} has {len(rows)} epochs of {record['epochs']}"


def _wrong_with_json(path, keys) -> str | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"{path} is missing"
    except (OSError, ValueError) as error:
        return f"{path} cannot be read: {error}"
    missing = [key for key in keys if key not in values] if isinstance(values, dict) else keys
    return f"{path} lacks {', '.join(missing)}" if missing else None


def _finite(value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def read_records(out: Path, objective: str) -> list[dict]:
    """What is known of every trial, the best first, then those that failed or did not end.

    Args:
        out: the search's folder.
        objective: "val_accuracy" or "val_loss"; of equals the other decides, then the earlier trial.
    """
    places = [place for place in out.glob(TRIALS) if (place / RECORD_FILE).exists()]
    records = [RunDirectory(place).read_json(RECORD_FILE, "trial", "status") for place in places]

    def rank(record):
        if record["status"] != "completed":
            return (1, record["status"], 0, int(record["trial"]))
        merit = (-record["validation_accuracy"], record["validation_loss"])
        return (0, *(merit if objective == "val_accuracy" else merit[::-1]), int(record["trial"]))

    return sorted(records, key=rank)
