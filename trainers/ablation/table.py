"""Results table of an ablation study: measured test errors beside the errors that the EncapNet paper reports."""

import csv
import io
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
    entries = [_entry(row, out) for row in rows]
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
    entries = [(row, _entry(row, out)) for row in rows]
    return _markdown([entry for row, entry in entries if row in chosen or entry["errors"] or entry["failed"]])


def _entry(row, out) -> dict:
    """Return a dictionary with the ablation results of one configuration, such as the test error for each seed.

    "guessing" is the number of runs that are not better than guessing.
    The mean error, the spread and the time are None where no run has finished. So is the time where runs have one
    epoch.
    """
    results, failures = [], []
    for folder in _runs(row, out):
        if (folder / FAILURE_FILE).exists():
            failures.append(AtomicFolder(folder).read_json(FAILURE_FILE, "reason")["reason"])
        elif (folder / RunDirectory.summary_file).exists():
            results.append(_result(RunDirectory(folder)))
    errors = [result["error"] for result in results]
    times = [result["seconds_per_step"] for result in results if result["seconds_per_step"] is not None]
    return {
        "row": row.name,
        "what": row.about,
        "paper": row.paper,
        "mean_error": statistics.mean(errors) if errors else None,
        "spread": statistics.stdev(errors) if len(errors) > 1 else None,
        "errors": errors,
        "seconds_per_step": statistics.median(times) if times else None,
        "failed": failures,
        "guessing": sum(result["guessing"] for result in results),
        **{key: sorted({result[key] for result in results}, key=str) for key in ("recipe", "epochs", "parameters")},
    }


def _runs(row, out) -> list[Path]:
    """Return the training run folders for one ablation configuration, one folder per random seed.

    Folders are in the order of the seeds. A folder that refers to another row's run is replaced by the folder of that
    run.
    """
    pattern = run_folder(out, row, "[0-9]*")
    folders = [folder for folder in pattern.parent.glob(pattern.name) if "unfinished" not in folder.name]
    folders.sort(key=lambda folder: (len(folder.name), folder.name))
    return [_shared_run(folder, out) or folder for folder in folders]


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


_COLUMNS = ("row", "what", "error, %", "runs", "paper, %", "parameters", "s/step", "recipe", "epochs")


def _cells(entry) -> list[str]:
    """Format the results of one ablation configuration as a list of table cells."""
    error = NOT_RUN if not entry["failed"] else "failed"
    if entry["errors"]:
        error = f"{entry['mean_error']:.2f}" + ("" if entry["spread"] is None else f" ± {entry['spread']:.2f}")
    if entry["failed"]:
        error += f" ({len(entry['failed'])} failed: {entry['failed'][0]})"
    return [
        entry["row"],
        entry["what"],
        error,
        str(len(entry["errors"])),
        entry["paper"] or NOT_IN_TEXT,
        ", ".join(f"{n:,}" for n in entry["parameters"]),
        "" if entry["seconds_per_step"] is None else f"{entry['seconds_per_step']:.3f}",
        ", ".join(entry["recipe"]),
        ", ".join(map(str, entry["epochs"])),
    ]


def _markdown(entries) -> str:
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(entry)) + " |" for entry in entries]
    return (
        "\n".join(lines) + "\n\n" + _guessing_warning(entries) + "Error: test error in percent, mean and standard "
        "deviation over the runs (seeds). "
        "Paper: its figure on its own data set and schedule. s/step: median epoch after the first, which compiles, "
        "validation included.\n"
    )


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
    writer.writerow(_COLUMNS)
    writer.writerows(map(_cells, entries))
    return text.getvalue()
