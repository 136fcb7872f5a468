"""report.html: one template, one list of sections; a page that needs no script and no network."""

import base64
import hashlib
from pathlib import Path

import jinja2

from ..errors import UserError
from ..run_directory import RunDirectory
from . import comparison
from .run_record import RunRecord
from .sections import SECTIONS

_HERE = Path(__file__).parent


def add_arguments(parser):
    parser.add_argument("run", nargs="+", help="Folder of a finished run, such as runs/digits/20261122-182440.")
    parser.add_argument("--out", help="With several runs: file of the page that compares them [comparison.html].")


def main(args):
    """The verb `encapnet report RUN...`: writes each run's page anew, and one that compares several runs."""
    runs = [RunDirectory.open(path) for path in dict.fromkeys(args.run)]
    if args.out and len(runs) == 1:
        raise UserError("--out is for the page that compares several runs. Received: one run.")
    summaries = [run.read_json(RunDirectory.summary_file, "recipe", "class_names") for run in runs]
    for run, summary in zip(runs, summaries, strict=True):
        write_report(run, summary)
        print(run.file(RunDirectory.report_file))
    if len(runs) > 1:
        records = {str(run.path): RunRecord.read(run, summary) for run, summary in zip(runs, summaries, strict=True)}
        print(_write(args.out or "comparison.html", page("Comparison", comparison.sections(records))))


def _write(path, text) -> Path:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from None
    return Path(path)


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
