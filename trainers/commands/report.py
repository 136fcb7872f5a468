"""Command `encapnet report`: rewrite the HTML reports of training runs, and compare several runs on one page."""

import os
import sys
from pathlib import Path

from ..runs.argument_types import path_type
from ..runs.errors import UserError
from ..runs.output_files import write_output
from ..runs.path_arguments import FOLDER, NEW_FILE
from ..runs.run_directory import RunDirectory

SAFE = "Runs and earlier reports are as they were."  # after an error of the disk


def add_arguments(parser):
    """Add the arguments of `encapnet report` to an argument parser."""
    parser.add_argument(
        "run",
        nargs="+",
        type=path_type(use=FOLDER),
        help="Folder of a finished run, such as runs/digits/20261122-182440.",
    )
    parser.add_argument(
        "--out",
        type=path_type("--out", NEW_FILE),
        help="With several runs: file of the page that compares them. Default: comparison.html in their common folder.",
    )


def check_arguments(args):
    """Check the flags of `encapnet report`, and raise `UserError` for a folder without a finished training run."""
    runs = _runs(args)
    if args.out and len(runs) == 1:
        raise UserError(
            "--out names the page that compares several runs. Received one run: leave --out out, or add a run."
        )


def _runs(args) -> list[RunDirectory]:
    return [RunDirectory.open(path) for path in dict.fromkeys(args.run)]


def main(args):
    """Run `encapnet report`: write an HTML report for each training run, and one page that compares all the runs.

    Of several runs, those whose report cannot be written are compared by what they have; messages say what is missing.
    """
    from ..report.run_report import write_report

    runs = _runs(args)
    for run in runs:
        summary = run.read_json(RunDirectory.summary_file, "recipe", "class_names")
        try:
            write_report(run, summary)
        except UserError as error:
            if len(runs) == 1:
                raise
            print(f"{run.path}: its {RunDirectory.report_file} was not written. {error}", file=sys.stderr)
        else:
            print(run.file(RunDirectory.report_file))
    if len(runs) > 1:
        print(_write_comparison(runs, args.out))


def _write_comparison(runs: list[RunDirectory], out: str | None) -> Path:
    """Write the HTML page that compares several training runs, and return its path."""
    from ..report.comparison.compared_run import ComparedRun
    from ..report.comparison.sections import comparison_sections
    from ..report.page import render_page

    page = render_page("Comparison", comparison_sections([ComparedRun.read(run) for run in runs]))
    folder = os.path.commonpath([os.path.abspath(run.path.parent) for run in runs])
    return write_output(out or os.path.relpath(Path(folder) / "comparison.html"), page)
