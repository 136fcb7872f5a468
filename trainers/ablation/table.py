"""Results table of an ablation study, with measured test errors and those reported in the EncapNet paper."""

import csv
import io
import math
import statistics
from pathlib import Path

from ..evaluation.chance import is_guessing
from ..fitting.unattended import FAILURE_FILE
from ..runs.atomic_folder import AtomicFolder
from ..runs.run_directory import RunDirectory
from .rows import SHARED_RUN_FILE, Row, run_folder

NOT_RUN, NOT_IN_TEXT = "not run", "not in the text"


def write(rows: list[Row], out: Path) -> Path:
    """Write the results table of an ablation study as Markdown, CSV and JSON files.

    Args:
        rows: the rows of the table; rows without a run are shown as "not run".
        out: the ablation's folder.

    Returns:
        The Markdown file.
    """
    entries = [_entry(row, rows, out) for row in rows]
    out.mkdir(parents=True, exist_ok=True)
    folder = AtomicFolder(out)
    folder.write_json("table.json", entries)
    folder.write_text("table.csv", _csv(entries))
    folder.write_text("table.md", _markdown(entries))
    return out / "table.md"


def format_results(rows: list[Row], out: Path, *, chosen: list[Row]) -> str:
    """Return the results table of an ablation study as Markdown.

    Args:
        rows: the rows of the table.
        out: the ablation's folder.
        chosen: the rows that the user chose; of the others, those with runs are in the table.
    """
    entries = [(row, _entry(row, rows, out)) for row in rows]
    return _markdown([entry for row, entry in entries if row in chosen or entry["errors"] or entry["failed"]])


def _entry(row, rows, out) -> dict:
    """Return a dictionary with the ablation results of one configuration, such as the test error for each seed.

    "guessing" is the number of runs that are not better than guessing. "difference" is the mean difference from the
    test error of the row's baseline, one of `rows`, with the same seed; "standard_error" is that of the mean.
    The mean error, the spread and the time are None where no run has finished. So is the time where runs have one
    epoch.
    """
    results = list(_results(row, out).values())
    errors = [result["error"] for result in results]
    differences = _differences(row, rows, out)
    times = [result["seconds_per_step"] for result in results if result["seconds_per_step"] is not None]
    return {
        "row": row.name,
        "what": row.about,
        "paper": row.paper,
        "mean_error": statistics.mean(errors) if errors else None,
        "spread": statistics.stdev(errors) if len(errors) > 1 else None,
        "errors": errors,
        "difference": statistics.mean(differences) if differences else None,
        "standard_error": standard_error(differences) if len(differences) > 1 else None,
        "seconds_per_step": statistics.median(times) if times else None,
        "failed": _failures(row, out),
        "guessing": sum(result["guessing"] for result in results),
        **{key: sorted({result[key] for result in results}, key=str) for key in ("recipe", "epochs", "parameters")},
    }


def standard_error(values: list[float]) -> float:
    """Return the standard error of the mean of two values or more."""
    return statistics.stdev(values) / math.sqrt(len(values))


def _differences(row, rows, out) -> list[float]:
    """Return differences between the test errors of a configuration and its baseline, for the seeds that both have."""
    baseline = next((other for other in rows if other.name == row.baseline), None)
    if baseline is None:
        return []
    errors, others = _results(row, out), _results(baseline, out)
    return [errors[seed]["error"] - others[seed]["error"] for seed in errors if seed in others]


def _results(row, out) -> dict[str, dict]:
    """Return a dictionary from seed names such as "seed0" to the results of finished training runs."""
    return {seed: _result(run) for seed, run in finished_runs(row, out).items()}


def finished_runs(row: Row, out: Path) -> dict[str, RunDirectory]:
    """Return the finished training runs of one ablation configuration by their seed's folder, such as "seed0"."""
    runs = {seed: folder for seed, folder in _runs(row, out).items() if not (folder / FAILURE_FILE).exists()}
    return {
        seed: RunDirectory(folder) for seed, folder in runs.items() if (folder / RunDirectory.summary_file).exists()
    }


def _failures(row, out) -> list[str]:
    """Return the reasons why training runs of a configuration failed."""
    failed = [AtomicFolder(folder) for folder in _runs(row, out).values() if (folder / FAILURE_FILE).exists()]
    return [folder.read_json(FAILURE_FILE, "reason")["reason"] for folder in failed]


def _runs(row, out) -> dict[str, Path]:
    """Return a dictionary from seed names such as "seed0" to the training run folders of a configuration.

    They are in the order of the seeds. A folder that refers to another row's run is replaced by the folder of that run.
    """
    pattern = run_folder(out, row, "[0-9]*")
    folders = [folder for folder in pattern.parent.glob(pattern.name) if "unfinished" not in folder.name]
    folders.sort(key=lambda folder: (len(folder.name), folder.name))
    return {folder.name: _shared_run(folder, out) or folder for folder in folders}


def _shared_run(folder, out) -> Path | None:
    """Return the path of an earlier training run that an ablation study reuses, or None if no run is reused.

    The path is read from a file in `folder`.
    """
    if not (folder / SHARED_RUN_FILE).exists():
        return None
    return out / AtomicFolder(folder).read_json(SHARED_RUN_FILE, "run")["run"]


def _result(run) -> dict:
    """Return a dictionary with the test error, parameter count and seconds per step of a finished training run.

    It holds the number of epochs, too.
    """
    config = run.read_json(RunDirectory.config_file, "config")["config"]
    keys = ("recipe", "epochs", "parameters", "test_accuracy", "train_images")
    summary = run.read_json(RunDirectory.summary_file, *keys)
    seconds = [row["seconds"] for row in run.read_json_lines(RunDirectory.metrics_file)][1:]  # the first compiles, too
    steps = max(1, summary["train_images"] // config["batch_size"])
    return {
        **{key: summary[key] for key in ("recipe", "epochs", "parameters")},
        "error": 100 * (1 - summary["test_accuracy"]),
        "guessing": is_guessing(summary["test_accuracy"], summary.get("test_guessing_limit")),
        "seconds_per_step": statistics.median(seconds) / steps if seconds else None,
    }


_DIFFERENCE = "difference, points"


def _table(entries) -> list[dict[str, str]]:
    """Format the ablation results as table rows, each a dictionary from column names to cell texts.

    The column of differences is there if a configuration is compared with a baseline.
    """
    rows = [_cells(entry) for entry in entries]
    if all(entry["difference"] is None for entry in entries):
        return [{column: cell for column, cell in row.items() if column != _DIFFERENCE} for row in rows]
    return rows


def _cells(entry) -> dict[str, str]:
    """Format the results of one ablation configuration as a dictionary from column names to cell texts."""
    error = NOT_RUN if not entry["failed"] else "failed"
    if entry["errors"]:
        error = f"{entry['mean_error']:.2f}" + ("" if entry["spread"] is None else f" ± {entry['spread']:.2f}")
    if entry["failed"]:
        error += f" ({len(entry['failed'])} failed: {entry['failed'][0]})"
    difference = "" if entry["difference"] is None else f"{entry['difference']:+.2f}"
    if entry["standard_error"] is not None:
        difference += f" ± {entry['standard_error']:.2f}"
    return {
        "row": entry["row"],
        "what": entry["what"],
        "error, %": error,
        _DIFFERENCE: difference,
        "runs": str(len(entry["errors"])),
        "paper, %": entry["paper"] or NOT_IN_TEXT,
        "parameters": ", ".join(f"{n:,}" for n in entry["parameters"]),
        "s/step": "" if entry["seconds_per_step"] is None else f"{entry['seconds_per_step']:.3f}",
        "recipe": ", ".join(entry["recipe"]),
        "epochs": ", ".join(map(str, entry["epochs"])),
    }


def _markdown(entries) -> str:
    rows = _table(entries)
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row.values()) + " |" for row in rows]
    notes = ["Error: test error in percent, mean and standard deviation over the runs (seeds)."]
    if _DIFFERENCE in rows[0]:
        notes.append("Difference: from the row without units, seed by seed, mean and its standard error.")
    notes.append("Paper: its figure on its own data set and schedule.")
    notes.append("s/step: median epoch after the first, which compiles, validation included.")
    return "\n".join(lines) + "\n\n" + _guessing_warning(entries) + " ".join(notes) + "\n"


def _guessing_warning(entries) -> str:
    """Return a warning about ablation configurations whose accuracy is no better than guessing, or an empty string."""
    rows = [f"{entry['row']} ({entry['guessing']} of {len(entry['errors'])})" for entry in entries if entry["guessing"]]
    if not rows:
        return ""
    return (
        f"Runs that are not better than guessing: {', '.join(rows)}. Their errors do not compare the networks: within "
        "two standard errors, always answering the most frequent class gives the same. Train for more --epochs.\n\n"
    )


def _csv(entries) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = _table(entries)
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return text.getvalue()
