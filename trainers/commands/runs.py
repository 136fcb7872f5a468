"""Command `encapnet runs`: list training runs with state, accuracy and differing settings."""

import argparse
import shutil
import sys
from pathlib import Path

from ..listing.listed_run import ListedRun
from ..listing.run_folders import DEPTH, FolderSearch
from ..listing.run_list import ORDERS, RunList
from ..listing.text_table import text_table
from ..runs.argument_types import path_type
from ..runs.counting import counted
from ..runs.errors import UserError
from ..runs.path_arguments import FOLDER
from .records import add_format, csv_line, json_line, write_any_file_name

SAFE = "The command writes nothing."  # after an error of the disk
NEEDS_KERAS = False
_FOLDER = "runs"
_MOST_NAMES = 5  # of folders without runs
_UNLIMITED = 1_000_000  # characters of a line that no terminal breaks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `encapnet runs` to an argument parser."""
    parser.add_argument(
        "folders",
        nargs="*",
        type=path_type(use=FOLDER),
        metavar="folder",
        default=[_FOLDER],
        help=f"Folders of runs, which are searched {DEPTH} levels deep, or runs. Default: {_FOLDER}.",
    )
    parser.add_argument(
        "--sort",
        choices=tuple(ORDERS),
        default="newest",
        help="newest: the run that began last comes first; best: that with the highest validation accuracy. "
        "Default: newest.",
    )
    add_format(parser)


def check_arguments(args: argparse.Namespace) -> None:
    """Check the arguments of `encapnet runs`, and raise `UserError` for a folder that does not exist."""
    for folder in args.folders:
        if not Path(folder).is_dir():
            advice = "`encapnet train` makes it" if folder == _FOLDER else "expected a folder of runs, or a run"
            raise UserError(f"There is no folder {folder}: {advice}.")


def main(args: argparse.Namespace) -> None:
    """Run the command `encapnet runs`, which lists the training runs found in folders and their subfolders.

    It prints the state and the accuracy of each run, and the settings in which the runs differ. Folders that are
    damaged or hold no run are named on standard error.
    """
    write_any_file_name()
    search = FolderSearch()
    for folder in dict.fromkeys(args.folders):
        search.add(Path(folder))
    runs, problems = [], list(search.unreadable)
    for path in dict.fromkeys(search.runs):
        try:
            runs.append(ListedRun.read(path))
        except UserError as error:
            problems.append(str(error))
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    if search.others:
        print(_without_runs(search.others), file=sys.stderr)
    _print(RunList.of(runs, args.sort), args.format)


def _without_runs(folders: list[Path]) -> str:
    names = ", ".join(map(str, folders[:_MOST_NAMES]))
    if len(folders) > _MOST_NAMES:
        names += f" and {counted(len(folders) - _MOST_NAMES, 'other folder')}"
    return f"no run in: {names}"


def _print(run_list: RunList, format: str) -> None:
    if format == "json":
        lines = [json_line(record) for record in run_list.records()]
    elif format == "csv":
        lines = [csv_line(row) for row in run_list.rows()]
    else:
        # A pipe or a file gets one line for each run.
        width = shutil.get_terminal_size((_UNLIMITED, 0)).columns
        lines = [text_table(run_list, width)] if run_list.runs else []
    for line in lines:
        print(line)
