"""Command `encapnet tune`: run or resume a hyper-parameter search with KerasTuner."""

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from ..config import flags as config_file
from ..config.dataset_names import refuse_unread_data_dir
from ..config.flags import add_flags
from ..config.idle_settings import idle_settings
from ..config.naming import series_name
from ..config.recipes import IMAGES_RECIPE, RECIPES
from ..config.schema import Config
from ..runs.argument_types import integer_type, number_type, path_type
from ..runs.atomic_folder import AtomicFolder
from ..runs.counting import counted
from ..runs.errors import UserError
from ..runs.installation import install_command
from ..runs.path_arguments import NEW_FOLDER
from ..search.plan import DEFAULT_GRID_POINTS, DEFAULT_TRIALS, TUNERS, Plan, new_plan, trial_config
from ..search.records import describe_settings, ranking_warning, with_status
from ..search.space import DEFAULT, Space
from .configuration import configuration

# After an error of the disk.
SAFE = "Finished trials are kept; `encapnet tune --resume --out=SEARCH` finishes the search."
OUTLASTS_TERMINAL = True
_TRIALS_TO_PRINT = 5
_MOST_TRIALS, _MOST_PROCESSES = 1_000_000, 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `encapnet tune` to an argument parser."""
    config_file.add_arguments(parser)
    parser.add_argument("--tuner", choices=TUNERS, help="How settings are chosen [random].")
    parser.add_argument(
        "--trials",
        type=integer_type("--trials", 1, _MOST_TRIALS),
        help=f"Largest number of trials. Default: {DEFAULT_TRIALS}; the whole grid; what Hyperband makes of --epochs.",
    )
    parser.add_argument(
        "--search",
        help="Settings to search, each with its usual range or one of its own: "
        f"lambda,epsilon=0.01:1,cost=cosine/euclidean [{','.join(DEFAULT)}]. Usual are also iterations, cost, feedback "
        "(placement), learning_rate, depth, routing; with a range, any other setting of network, training or "
        "augmentation.",
    )
    parser.add_argument(
        "--grid_points",
        type=integer_type("--grid_points", 2, _MOST_TRIALS),
        help=f"Values of a range in a grid [{DEFAULT_GRID_POINTS}].",
    )
    parser.add_argument(
        "--objective",
        choices=("val_accuracy", "val_loss"),
        help="What is best, on the validation images [val_accuracy].",
    )
    parser.add_argument(
        "--out",
        type=path_type("--out", NEW_FOLDER),
        help="Folder of the search. Default: searches/RECIPE-TUNER; for your own images searches/FOLDER-TUNER.",
    )
    parser.add_argument("--resume", action="store_true", help="Resume the search in --out.")
    parser.add_argument(
        "--workers",
        type=integer_type("--workers", 1, _MOST_PROCESSES),
        default=1,
        help="Processes that run trials side by side [1].",
    )
    parser.add_argument(
        "--silent_minutes",
        type=number_type("--silent_minutes", 0.01, 1e6),
        default=30.0,
        help="A worker that trained no step for so long is ended, and its trial run again, once [30].",
    )
    parser.add_argument(
        "--retrain",
        type=integer_type("--retrain", 0, _MOST_TRIALS),
        default=0,
        help="Train the best configuration on so many seeds [0].",
    )
    parser.add_argument(
        "--retrain_epochs",
        type=integer_type("--retrain_epochs", 1, 1_000_000),
        help="Epochs of --retrain. Default: the recipe's.",
    )
    add_flags(parser, skip=("recipe",))


def check_arguments(args: argparse.Namespace) -> None:
    """Check the flags of `encapnet tune`, and raise `UserError` for contradictory settings."""
    config = config_file.configuration(args)
    if not args.resume:
        refuse_unread_data_dir(args.data_dir, config.dataset)
    if args.search is not None:
        Space.parse(args.search)


def main(args: argparse.Namespace) -> None:
    """Run `encapnet tune`: start or resume a hyper-parameter search, and write a ranking of the trials and a report.

    Raises:
        UserError: a flag is refused, the search was interrupted, or trials failed.
    """
    try:
        from ..search import roles, session
    except ModuleNotFoundError as error:
        raise UserError(f"The search needs {error.name}: {install_command('tune')}.") from None
    role = roles.role()
    if role != roles.ALONE and args.workers > 1:
        raise UserError("--workers starts workers on this machine; KerasTuner's environment variables replace it.")
    out = Path(args.out or f"searches/{series_name(config_file.configuration(args))}-{args.tuner or 'random'}")
    folder, silent_seconds = AtomicFolder(out), 60 * args.silent_minutes
    if role == roles.WORKER:
        session.work(Plan.wait_for(folder, silent_seconds), folder)
        return
    if args.resume:
        plan = _resumed_plan(folder, args)
    else:
        plan = plan_from_flags(args)
        folder = plan.create_folder(out)

    from ..search import leaderboard

    try:
        session.search(plan, folder, role, workers=args.workers, silent_seconds=silent_seconds)
    except KeyboardInterrupt:
        leaderboard.write(plan, folder)
        command = f"encapnet tune --resume --out={shlex.quote(str(out))}"
        raise UserError(f"Interrupted. Finished trials are kept. Resume with: {command}", status=130) from None
    finish(plan, folder, args)


def finish(plan: Plan, folder: AtomicFolder, args: argparse.Namespace) -> None:
    """Write and print hyper-parameter search results, and retrain the best configuration if `--retrain` is set.

    Args:
        plan: the search's plan.
        folder: the search's folder.
        args: the parsed flags.

    Raises:
        UserError: trials or retraining runs failed, or no trial ended.
    """
    from ..search import leaderboard

    records = leaderboard.write(plan, folder)
    completed = with_status(records, "completed")
    _print_results(plan, folder, records)
    failed_seeds = _retrain(plan, folder, args) if args.retrain and completed else 0
    leaderboard.raise_for_failures(records, folder, failed_seeds)


def plan_from_flags(args: argparse.Namespace, *, quiet: bool = False) -> Plan:
    """Return the settings of a new hyper-parameter search, taken from parsed command-line flags.

    Prints the settings that were chosen for the data, unless `quiet`.

    Raises:
        UserError: a flag is refused.
    """
    full_config = configuration(args, quiet=quiet)
    config = trial_config(
        full_config,
        keep_epochs=args.config is not None or args.epochs is not None,
        keep_feedback=args.feedback is not None,
    )
    names = ("search", "tuner", "trials", "objective", "grid_points")
    plan = new_plan(config, **{name: getattr(args, name) for name in names})
    for sentence in () if quiet else idle_settings(plan.config, config_file.flag_values(args), plan.space.names):
        print(sentence, file=sys.stderr)
    return replace(plan, full_epochs=full_config.epochs) if config.recipe == IMAGES_RECIPE else plan


def _resumed_plan(folder, args) -> Plan:
    """Read the settings of an interrupted hyper-parameter search, and reject contradicting command-line flags.

    The flag `--trials` replaces the number of trials. Other flags that contradict the saved settings raise an error.
    """
    plan = Plan.read(folder)
    search_flags = (args.recipe, args.config, args.tuner, args.search, args.objective, args.grid_points)
    if any(value is not None for value in search_flags) or config_file.flag_values(args):
        plan.check_same(plan_from_flags(args, quiet=True))
    return plan if args.trials is None else replace(plan, trials=args.trials)


def _full_epochs(plan: Plan, config: Config) -> int:
    """Return the number of epochs for retraining the best configuration found by a hyper-parameter search."""
    return max(config.epochs, plan.full_epochs or RECIPES[config.recipe].config.epochs)


def _print_results(plan, folder, records):
    """Print the best trials of a hyper-parameter search, and the command for training with the best configuration."""
    from ..search.leaderboard import BEST, LEADERBOARD, REPORT

    completed = with_status(records, "completed")
    print(f"\n{counted(len(completed), 'trial')} completed, {len(records) - len(completed)} did not")
    for rank, record in enumerate(completed[:_TRIALS_TO_PRINT], start=1):
        print(
            f"{rank}.  trial {record['trial']}  validation accuracy {record['validation_accuracy']:.2%}  "
            f"loss {record['validation_loss']:.4f}  {describe_settings(record['settings'])}"
        )
    if warning := ranking_warning(completed):
        print(warning)
    print(f"leaderboard: {folder.file(LEADERBOARD)}\nreport:      {folder.file(REPORT)}")
    if completed:
        epochs = _full_epochs(plan, plan.config)
        command = f"encapnet train --config={shlex.quote(str(folder.file(BEST)))}"
        print(f"next:        {command}{'' if epochs == completed[0]['epochs'] else f' --epochs={epochs}'}", flush=True)


def _retrain(plan, folder, args) -> int:
    """Retrain the best configuration of a hyper-parameter search with several seeds, and print the mean accuracy."""
    from ..search import leaderboard
    from ..search.retrain import mean_and_deviation, read_summaries, retrain

    best = config_file.read_config(folder.file(leaderboard.BEST))
    failures = retrain(best, folder, seeds=args.retrain, epochs=args.retrain_epochs or _full_epochs(plan, best))
    leaderboard.write(plan, folder)
    if summaries := read_summaries(folder):
        print(
            f"\nbest configuration, {counted(len(summaries), 'seed')}: "
            f"test accuracy {mean_and_deviation(summaries, 'test_accuracy')}, "
            f"validation accuracy {mean_and_deviation(summaries, 'validation_accuracy')}"
        )
    return failures
