"""`encapnet report RUN...`: write each run's report.html again, and a page that compares several runs."""

from pathlib import Path

from ..report import comparison
from ..report.page import page, write_report
from ..report.run_record import RunRecord
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory


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
