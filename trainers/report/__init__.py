"""report.html: one template, one list of sections; a page that needs no script and no network."""

import base64
import hashlib
from pathlib import Path

import jinja2

from ..run_directory import RunDirectory
from .run_record import RunRecord
from .sections import SECTIONS

_HERE = Path(__file__).parent


def add_arguments(parser):
    parser.add_argument("run", help="Folder of a finished run, such as runs/digits/20261122-182440.")


def main(args):
    """The verb `encapnet report RUN`: writes the page anew."""
    run = RunDirectory.open(args.run)
    write_report(run, run.read_json(RunDirectory.summary_file, "recipe", "class_names"))
    print(run.file(RunDirectory.report_file))


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
    """The page as text. Every string from the run is escaped; the policy in its head forbids script and network."""
    style = (_HERE / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    sections = [section for make in SECTIONS if (section := make(record)) is not None]
    return environment.get_template("report.html").render(
        title=title, style=jinja2.utils.markupsafe.Markup(style), style_digest=digest, sections=sections
    )
