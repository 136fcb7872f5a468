"""One table of an ablation's runs: table.md, table.csv and table.json, the paper's figure beside ours."""

import csv
import io
import statistics
from pathlib import Path

from ..runs.run_directory import RunDirectory
from .rows import FAILURE_FILE, SHARED_RUN_FILE

NOT_RUN, NOT_IN_TEXT = "not run", "not in the text"


def write(rows, out: Path) -> Path:
    """Writes a table of what `out` holds of the rows.

    Args:
        rows: the table's `Row`s; those without a run are shown as not run.
        out: the folder that `encapnet ablate` filled.

    Returns:
        The Markdown file.
    """
    entries = [_entry(row, out) for row in rows]
    out.mkdir(parents=True, exist_ok=True)
    folder = RunDirectory(out)
    folder.write_json("table.json", entries)
    folder.write_text("table.csv", _csv(entries))
    folder.write_text("table.md", _markdown(entries))
    return out / "table.md"


def _entry(row, out) -> dict:
    """A row's line: figures are None where there are none."""
    done, reasons = [], []
    for place in _runs(out, row):
        if (place / FAILURE_FILE).exists():
            reasons.append(RunDirectory(place).read_json(FAILURE_FILE, "reason")["reason"])
        elif (place / RunDirectory.summary_file).exists():
            done.append(_measured(RunDirectory(place)))
    errors = [run["error"] for run in done]
    settings = {key: sorted({run[key] for run in done}, key=str) for key in ("recipe", "epochs", "parameters")}
    return {
        "row": row.name,
        "what": row.about,
        "paper": row.paper,
        "mean_error": statistics.mean(errors) if errors else None,
        "spread": statistics.stdev(errors) if len(errors) > 1 else None,
        "errors": errors,
        "seconds_per_step": statistics.median(run["seconds_per_step"] for run in done) if done else None,
        "failed": reasons,
        **settings,
    }


def _runs(out, row) -> list[Path]:
    """The row's run folders; where it shares another row's run, that."""
    places = sorted((out / row.name.split("/")[1]).glob("seed[0-9]*"), key=lambda place: (len(place.name), place.name))
    places = [place for place in places if "unfinished" not in place.name]
    shared = [
        RunDirectory(p).read_json(SHARED_RUN_FILE, "run")["run"] if (p / SHARED_RUN_FILE).exists() else None
        for p in places
    ]
    return [place if run is None else out / run for place, run in zip(places, shared, strict=True)]


def _measured(run) -> dict:
    config = run.read_json(RunDirectory.config_file, "config")["config"]
    keys = ("recipe", "epochs", "parameters", "test_accuracy", "train_images")
    summary = run.read_json(RunDirectory.summary_file, *keys)
    seconds = [row["seconds"] for row in run.read_json_lines(RunDirectory.metrics_file)]
    typical = statistics.median(seconds[1:] or seconds)  # the first epoch traces the graph
    return {
        **{key: summary[key] for key in ("recipe", "epochs", "parameters")},
        "error": 100 * (1 - summary["test_accuracy"]),
        "seconds_per_step": typical / max(1, summary["train_images"] // config["batch_size"]),
    }


_COLUMNS = ("row", "what", "error, %", "runs", "paper, %", "parameters", "s/step", "recipe", "epochs")


def _cells(entry) -> list[str]:
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
        "\n".join(lines) + "\n\nError: test error in percent, mean and standard deviation over the runs (seeds). "
        "Paper: its figure on its own data set and schedule. s/step: median epoch, validation included.\n"
    )


def _csv(entries) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(map(_cells, entries))
    return text.getvalue()
