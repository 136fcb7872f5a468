"""Command `encapnet train`: train one model, resume an interrupted run, or extend a run by more epochs."""

import argparse
import shlex
import sys

from ..config import flags
from ..config.dataset_names import refuse_unread_data_dir
from ..config.idle_settings import idle_settings
from ..config.initial_weights import find_weights
from ..runs.argument_types import path_type
from ..runs.counting import counted
from ..runs.errors import UserError
from ..runs.path_arguments import FOLDER, NEW_FOLDER
from ..runs.run_directory import RunDirectory
from .configuration import configuration

# After an error of the disk.
SAFE = "What was saved so far is in the run's folder; `encapnet train --resume=RUN` finishes it."
OUTLASTS_TERMINAL = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `encapnet train` to an argument parser."""
    flags.add_arguments(parser)
    parser.add_argument(
        "--run_dir",
        type=path_type("--run_dir", NEW_FOLDER),
        help="Folder to create for the run. Default: runs/RECIPE/TIME; for your own images runs/FOLDER/TIME.",
    )
    parser.add_argument(
        "--resume", type=path_type("--resume", FOLDER), metavar="RUN", help="Folder of an interrupted run to resume."
    )
    parser.add_argument(
        "--continue_from",
        type=path_type("--continue_from", FOLDER),
        metavar="RUN",
        help="Folder of a run to continue in a new run, with its settings: from its last checkpoint, optimizer "
        "included, up to --epochs=N, the epochs of both runs in all. The folder itself stays as it is.",
    )
    parser.add_argument(
        "--dry_run",
        action="store_true",
        help="Train three steps, print settings, network, memory and time, and write nothing.",
    )
    flags.add_flags(parser, skip=("recipe",))


def check_arguments(args: argparse.Namespace) -> None:
    """Check the flags of `encapnet train` without loading data, and raise `UserError` for a mistake."""
    if args.resume is not None:
        _check_resume(args)
    elif args.continue_from is not None:
        RunDirectory.existing(args.continue_from)
    else:
        config = flags.configuration(args)
        refuse_unread_data_dir(args.data_dir, config.dataset)
        if config.init_weights is not None:
            find_weights(config.init_weights)
        for sentence in idle_settings(config, flags.flag_values(args)):
            print(sentence, file=sys.stderr)


def _check_resume(args) -> None:
    """Raise `UserError` if `--resume` conflicts with other flags or names a run that cannot be resumed."""
    if args.run_dir is not None:
        raise UserError("--resume continues in the run's own folder: leave --run_dir out.")
    if args.continue_from is not None:
        raise UserError(
            "--resume finishes an interrupted run in its own folder, --continue_from begins a new run. Give one of the "
            "two."
        )
    if args.dry_run:
        raise UserError("--dry_run describes a new run, --resume finishes an earlier one. Leave one of the two out.")
    RunDirectory.unfinished(args.resume)


def main(args: argparse.Namespace) -> None:
    """Run `encapnet train`: train one model, or resume an interrupted run, and print the accuracy."""
    from ..fitting.checkpoints import continuation, resume
    from ..fitting.strategy import is_chief
    from ..fitting.train import train
    from ..report.summary_sections import remarks

    if args.resume is not None:
        interrupted_run = RunDirectory.unfinished(args.resume)
        config = resume.configuration(interrupted_run, *flags.recipe_and_settings(args))
        result = train(config, resume=interrupted_run)
    else:
        earlier_run = None if args.continue_from is None else RunDirectory.existing(args.continue_from)
        if earlier_run is None:
            config = configuration(args, quiet=not is_chief())
        else:
            config = continuation.configuration(earlier_run, *flags.recipe_and_settings(args))
        if args.dry_run:
            from ..dry_run.dry_run import dry_run

            dry_run(config, earlier_run)
            return
        result = train(config, args.run_dir, continue_from=earlier_run)
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
    path = shlex.quote(str(run.path))
    print(f"report:  {run.file(RunDirectory.report_file)}\nnext:    encapnet evaluate {path}")
    print(f"         encapnet predict {path} IMAGE.png\n         encapnet export {path}")
