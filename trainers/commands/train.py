"""Command `encapnet train`: train one model, or resume an interrupted training run."""

import argparse
import shlex

from ..config import flags
from ..config.dataset_names import refuse_unread_data_dir
from ..runs.counting import counted
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .configuration import configuration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `encapnet train` to an argument parser."""
    flags.add_arguments(parser)
    parser.add_argument(
        "--run_dir",
        help="Folder to create for the run. Default: runs/RECIPE/TIME; for your own images runs/FOLDER/TIME.",
    )
    parser.add_argument("--resume", metavar="RUN", help="Folder of an interrupted run to resume.")
    flags.add_flags(parser, skip=("recipe",))


def check_arguments(args: argparse.Namespace) -> None:
    """Check the flags of `encapnet train` without loading data, and raise `UserError` for a mistake."""
    if args.resume is None:
        refuse_unread_data_dir(args.data_dir, flags.configuration(args).dataset)
    elif args.run_dir is not None:
        raise UserError("--resume continues in the run's own folder: leave --run_dir out.")
    else:
        RunDirectory.unfinished(args.resume)


def main(args: argparse.Namespace) -> None:
    """Run `encapnet train`: start or resume training one model, and print the accuracy."""
    from ..fitting import resume
    from ..fitting.strategy import is_chief
    from ..fitting.train import train
    from ..report.summary_sections import remarks

    if args.resume is None:
        result = train(configuration(args, quiet=not is_chief()), args.run_dir)
    else:
        interrupted_run = RunDirectory.unfinished(args.resume)
        config = resume.configuration(interrupted_run, *flags.recipe_and_settings(args))
        result = train(config, resume=interrupted_run)
    if result is None:  # another worker is the chief, which prints
        return
    run, summary = result
    print(
        f"\ntest accuracy {summary['test_accuracy']:.2%} ({counted(summary['test_errors'], 'error')} in "
        f"{counted(summary['test_images'], 'image')}), validation accuracy {summary['validation_accuracy']:.2%} "
        f"(best epoch, {summary['best_epoch']} of {summary['epochs']}), trained in {summary['train_seconds']:.0f} s"
    )
    for remark in remarks(summary):
        print(remark)
    print(f"report:  {run.file(RunDirectory.report_file)}\nnext:    encapnet evaluate {shlex.quote(str(run.path))}")
