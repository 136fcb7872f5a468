"""report.html: one template, one list of sections; a page that needs no script and no network."""

import base64
import hashlib
from pathlib import Path

import jinja2

from ..runs.run_directory import RunDirectory
from .run_record import RunRecord
from .sections import SECTIONS

_HERE = Path(__file__).parent


def write_report(run: RunDirectory, summary: dict):
    """Writes a run's report.html from the files in its folder.

    Args:
        run: the run's folder, with config.json, metrics.jsonl and predictions.npz.
        summary: what summary.json says or will say.

    Raises:
        UserError: one of the files is missing or damaged.
    """
    record = RunRecord.read(run, summary)
    run.write_text(RunDirectory.report_file, render(f"{summary['recipe']} · {run.path.name}", record))


def render(title: str, record: RunRecord) -> str:
    """A run's page as text."""
    return page(title, [section for make in SECTIONS if (section := make(record)) is not None])


def page(title: str, sections: list) -> str:
    """A page as text. Every string from the run is escaped; the policy in its head forbids script and network."""
    style = (_HERE / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html").render(
        title=title, style=jinja2.utils.markupsafe.Markup(style), style_digest=digest, sections=sections
    )
