"""Functions that read the result files of hyper-parameter search trials and find damaged files."""

import math
from pathlib import Path

from ..evaluation.chance import is_guessing
from ..runs.atomic_files import set_aside
from ..runs.atomic_folder import AtomicFolder
from ..runs.counting import counted
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory

DAMAGED = "damaged"
RECORD_FILE = "record.json"  # in a trial's folder: its settings, result or failure
TRIALS, TRIAL_FILE, ORACLE_FILE = "trial_*", "trial.json", "oracle.json"
_TRIAL_KEYS = ("trial_id", "hyperparameters", "metrics", "score", "best_step", "status", "message")
_ORACLE_KEYS = ("start_order", "end_order", "hyperparameters", "values", "seed_state", "run_times", "display")


def set_aside_damaged(out: Path) -> list[str]:
    """Move damaged files and trial folders of a hyper-parameter search into the subfolder "damaged".

    A trial is intact if KerasTuner's trial.json can be read and, once the trial has ended, our record.json agrees with
    it. A completed trial also needs a log of all its epochs.

    Args:
        out: the search's folder.

    Returns:
        One message for each thing that was moved: what was wrong with it, and where it is now.
    """
    messages = []
    for folder in sorted(out.glob(TRIALS)):
        if damage := _trial_damage(folder):
            messages.append(f"{damage}; moved to {set_aside(folder, '-', out / DAMAGED)}, the trial is run again")
    oracle = out / ORACLE_FILE
    if oracle.exists() and (damage := _json_damage(oracle, _ORACLE_KEYS)):
        messages.append(f"{damage}; moved to {set_aside(oracle, '-', out / DAMAGED)}, its trials are kept")
    return messages


def _trial_damage(folder) -> str | None:
    """Describe the damage in a search trial's files, or return None if the files are intact."""
    if damage := _json_damage(folder / TRIAL_FILE, _TRIAL_KEYS):
        return damage
    trial = AtomicFolder(folder).read_json(TRIAL_FILE)
    if f"trial_{trial['trial_id']}" != folder.name or not folder.name.removeprefix("trial_").isdecimal():
        return f"{folder / TRIAL_FILE} is of another trial, {trial['trial_id']}"
    if not isinstance(trial["hyperparameters"].get("values"), dict):
        return f"{folder / TRIAL_FILE} has no values"
    if trial["status"] not in ("COMPLETED", "FAILED"):
        return None  # an unfinished trial is run again, whatever else is in its folder
    if damage := _json_damage(folder / RECORD_FILE, ("trial", "status", "settings")):
        return damage
    record = AtomicFolder(folder).read_json(RECORD_FILE)
    if record["status"] != trial["status"].lower():
        return f"{folder} has a record that says {record['status']} where KerasTuner's says {trial['status'].lower()}"
    if trial["status"] == "FAILED":
        return None
    if not all(_is_finite(value) for value in (trial["score"], record.get("validation_accuracy"))):
        return f"{folder / TRIAL_FILE} has no score"
    return _log_damage(folder / RunDirectory.metrics_file, record)


def _log_damage(path, record) -> str | None:
    """Describe the damage in a log file of training metrics, or return None if the file is intact."""
    try:
        rows = AtomicFolder(path.parent).read_json_lines(path.name)
    except UserError as error:
        return str(error).removesuffix(".")
    epochs = record.get("epochs")
    return None if len(rows) == epochs else f"{path} has {counted(len(rows), 'epoch')} of {epochs}"


def _json_damage(path, keys) -> str | None:
    """Return an error message if a JSON file is unreadable or lacks required keys, otherwise None.

    A missing file is reported, too.
    """
    try:
        AtomicFolder(path.parent).read_json(path.name, *keys)
    except UserError as error:
        return str(error).removesuffix(".")
    return None


def _is_finite(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_records(out: Path, objective: str) -> list[dict]:
    """Read the results of all trials of a hyper-parameter search, sorted from best to worst.

    Accuracy and loss break each other's ties; after them, the earlier trial comes first.

    Args:
        out: the search's folder.
        objective: "val_accuracy" or "val_loss".
    """
    folders = [folder for folder in out.glob(TRIALS) if (folder / RECORD_FILE).exists()]
    records = [AtomicFolder(folder).read_json(RECORD_FILE, "trial", "status") for folder in folders]

    def rank(record):
        if record["status"] != "completed":
            return (1, record["status"], 0, int(record["trial"]))
        merit = (-record["validation_accuracy"], record["validation_loss"])
        return (0, *(merit if objective == "val_accuracy" else merit[::-1]), int(record["trial"]))

    return sorted(records, key=rank)


def with_status(records: list[dict], status: str) -> list[dict]:
    """Select the hyper-parameter search trials with a given status, such as "completed" or "failed".

    Their order stays.
    """
    return [record for record in records if record["status"] == status]


def ranking_warning(completed: list[dict]) -> str | None:
    """Return a warning if the best trial of a search is tied with others or no better than guessing, else None.

    Args:
        completed: the records of the completed trials, the best first.
    """
    if not completed:
        return None
    accuracy, limit = completed[0]["validation_accuracy"], completed[0].get("guessing_limit")
    if is_guessing(accuracy, limit):
        return (
            f"The best trial is not better than guessing (validation accuracy {accuracy:.2%}; up to {limit:.2%} can be "
            "had by chance), so the ranking means nothing. Give the trials more --epochs, or other ranges."
        )
    tied = [record["trial"] for record in completed if record["validation_accuracy"] == accuracy]
    if len(tied) == 1:
        return None
    return (
        f"{len(tied)} trials have the best one's validation accuracy of {accuracy:.2%} (trials {', '.join(tied)}). "
        "Only the loss ranks them: more --epochs or more validation images may tell them apart."
    )


def describe_settings(settings: dict) -> str:
    """Format hyper-parameter values as one line of text, such as "epsilon 0.1, cost cosine"."""
    values = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in settings.items()}
    return ", ".join(f"{name} {value}" for name, value in values.items())
