"""Command `encapnet report`: rewrite the HTML reports of training runs, and compare several runs on one page."""

import os
from pathlib import Path

from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory


def add_arguments(parser):
    """Add the arguments of `encapnet report` to an argument parser."""
    parser.add_argument("run", nargs="+", help="Folder of a finished run, such as runs/digits/20261122-182440.")
    parser.add_argument(
        "--out",
        help="With several runs: file of the page that compares them. Default: comparison.html in their common folder.",
    )


def check_arguments(args):
    """Raise `UserError` for mistakes on the command line, and for folders that hold no finished run."""
    runs = _runs(args)
    if args.out and len(runs) == 1:
        raise UserError(
            "--out names the page that compares several runs. Received one run: leave --out out, or add a run."
        )


def _runs(args) -> list[RunDirectory]:
    return [RunDirectory.open(path) for path in dict.fromkeys(args.run)]


def main(args):
    """Run `encapnet report`: write an HTML report for each training run, and one page that compares all the runs."""
    from ..report.comparison import comparison_sections
    from ..report.page import render_page
    from ..report.run_record import RunRecord
    from ..report.run_report import write_report

    runs = _runs(args)
    summaries = [run.read_json(RunDirectory.summary_file, "recipe", "class_names") for run in runs]
    for run, summary in zip(runs, summaries, strict=True):
        write_report(run, summary)
        print(run.file(RunDirectory.report_file))
    if len(runs) > 1:
        records = {str(run.path): RunRecord.read(run, summary) for run, summary in zip(runs, summaries, strict=True)}
        folder = os.path.commonpath([os.path.abspath(run.path.parent) for run in runs])
        path = Path(args.out or os.path.relpath(Path(folder) / "comparison.html"))
        try:
            path.write_text(render_page("Comparison", comparison_sections(records)), encoding="utf-8")
        except OSError as error:
            raise UserError(f"Cannot write {path}: {error.strerror}.") from None
        print(path)
