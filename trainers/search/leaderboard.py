"""What a search ends with: leaderboard.csv, best.json for `encapnet train --config`, and report.html."""

import csv
import io
import statistics

from ..report.page import render_page
from ..runs.run_directory import RunDirectory
from . import report_sections as sections
from .records import read_records

LEADERBOARD, BEST = "leaderboard.csv", "best.json"
RETRAINED = "best"  # the folder of the best configuration's runs on several seeds
_COLUMNS = (
    "rank", "trial", "status", "validation_accuracy", "validation_loss", "best_epoch", "epochs", "seconds", "seed",
)  # fmt: skip


def write(plan, run: RunDirectory) -> list[dict]:
    """Writes the three files from the trials' records.

    Args:
        plan: the search's `Plan`.
        run: its folder.

    Returns:
        The records, the best first.
    """
    records = read_records(run.path, plan.objective)
    run.write_text(LEADERBOARD, _csv(records, plan.space.names))
    if records and records[0]["status"] == "completed":
        best = records[0]
        config = RunDirectory(run.path / f"trial_{best['trial']}").read_json(RunDirectory.config_file, "config")
        told = ("trial", "validation_accuracy", "validation_loss")
        run.write_json(BEST, {**config, "search": {"folder": str(run.path), **{key: best[key] for key in told}}})
    run.write_text(
        RunDirectory.report_file, render_page(f"Search · {run.path.name}", sections.of(plan, records, retrained(run)))
    )
    return records


def _csv(records, names) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_COLUMNS, *names, "reason"))
    for rank, record in enumerate(records, start=1):
        line = {**record, "rank": rank if record["status"] == "completed" else ""}
        settings = record.get("settings", {})
        cells = [line.get(column, "") for column in _COLUMNS] + [settings.get(name, "") for name in names]
        writer.writerow([*cells, record.get("reason", "")])
    return text.getvalue()


def retrained(run: RunDirectory) -> list[dict]:
    """The summaries of the best configuration's finished runs."""
    places = sorted(run.path.glob(f"{RETRAINED}/seed*"))
    complete = [RunDirectory(place) for place in places if (place / RunDirectory.summary_file).exists()]
    keys = ("seed", "test_accuracy", "validation_accuracy", "epochs")
    return [done.read_json(RunDirectory.summary_file, *keys) for done in complete if "unfinished" not in done.path.name]


def spread(summaries, key: str) -> str:
    """Mean and standard deviation in percent."""
    values = [100 * summary[key] for summary in summaries]
    return f"{statistics.mean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "") + " %"
