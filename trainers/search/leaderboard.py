"""Results of a hyper-parameter search: leaderboard, best configuration, HTML report and failure summary."""

import csv
import io

from ..report.page import render_page
from ..runs.atomic_folder import AtomicFolder
from ..runs.counting import counted
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .plan import Plan
from .records import RECORD_FILE, read_records, with_status
from .report_sections import search_sections
from .retrain import RETRAINED, read_summaries

LEADERBOARD, BEST, REPORT = "leaderboard.csv", "best.json", "report.html"
_COLUMNS = (
    "rank", "trial", "status", "validation_accuracy", "validation_loss", "best_epoch", "epochs", "seconds", "seed",
)  # fmt: skip


def write(plan: Plan, folder: AtomicFolder) -> list[dict]:
    """Write the leaderboard, best configuration and HTML report of a hyper-parameter search.

    The files are leaderboard.csv, best.json and report.html.

    Args:
        plan: the search's plan.
        folder: the search's folder.

    Returns:
        The records, the best first.
    """
    records = read_records(folder.path, plan.objective)
    folder.write_text(LEADERBOARD, _csv(records, plan.space.names))
    if records and records[0]["status"] == "completed":
        best = records[0]
        trial = AtomicFolder(folder.path / f"trial_{best['trial']}")
        origin = {key: best[key] for key in ("trial", "validation_accuracy", "validation_loss")}
        config = trial.read_json(RunDirectory.config_file, "config")
        folder.write_json(BEST, {**config, "search": {"folder": str(folder.path), **origin}})
    sections = search_sections(plan, records, read_summaries(folder))
    folder.write_text(REPORT, render_page(f"Search · {folder.path.name}", sections))
    return records


def _csv(records, names) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_COLUMNS, *names, "reason"))
    for rank, record in enumerate(records, start=1):
        values = {**record, "rank": rank if record["status"] == "completed" else ""}
        settings = record.get("settings", {})
        cells = [values.get(column, "") for column in _COLUMNS] + [settings.get(name, "") for name in names]
        writer.writerow([*cells, record.get("reason", "")])
    return text.getvalue()


def raise_for_failures(records: list[dict], folder: AtomicFolder, failed_seeds: int) -> None:
    """Raise `UserError` if any trial of a hyper-parameter search or any retraining of the best configuration failed.

    Args:
        records: the records of all trials.
        folder: the search's folder.
        failed_seeds: number of runs of the best configuration that failed.
    """
    failed = with_status(records, "failed")
    if not with_status(records, "completed"):
        if not failed:
            raise UserError(f"No trial ended; {folder.path} has the logs of the workers.", status=1)
        raise UserError(
            f"Every trial failed ({len(failed)}), so there is no best configuration. The first failure: "
            f"{failed[0]['reason']} Tracebacks are in {folder.path}/trial_*/{RECORD_FILE}.",
            status=1,
        )
    messages = [f"trial {record['trial']} failed: {record['reason']}" for record in failed]
    if failed_seeds:
        messages.append(
            f"{counted(failed_seeds, 'run')} of the best configuration failed; {folder.path}/{RETRAINED} says why"
        )
    if messages:
        raise UserError("\n".join([*messages, f"Tracebacks are in {folder.path}."]), status=1)
