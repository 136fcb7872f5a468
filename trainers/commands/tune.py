"""`encapnet tune`: searches lambda, epsilon and other settings with KerasTuner; can be stopped and resumed."""

import shlex
import time
from dataclasses import replace
from pathlib import Path

from ..config import flags as config_file
from ..config.flags import add_flags
from ..config.recipes import RECIPES, override
from ..config.schema import Config
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from ..search.plan import PLAN_FILE, TUNERS, Plan
from ..search.records import RECORD_FILE
from ..search.space import DEFAULT, Space

_TRIALS = 12
_GRID_POINTS = 4
_EPOCHS_SHARE = 8  # a trial trains an eighth of the recipe's epochs
_SHOWN = 5


def add_arguments(parser):
    config_file.add_arguments(parser)
    parser.add_argument("--tuner", choices=TUNERS, help="How settings are chosen [random].")
    parser.add_argument(
        "--trials",
        type=int,
        help=f"At most so many trials. Default: {_TRIALS}; the whole grid; what Hyperband makes of --epochs.",
    )
    parser.add_argument(
        "--search",
        help="Settings to search, each with its usual range or one of its own: "
        f"lambda,epsilon=0.01:1,cost=cosine/euclidean [{','.join(DEFAULT)}]. Usual are also iterations, cost, feedback "
        "(placement), learning_rate, depth, routing; with a range, any other setting of network, training or "
        "augmentation.",
    )
    parser.add_argument("--grid_points", type=int, help=f"Values of a range in a grid [{_GRID_POINTS}].")
    parser.add_argument(
        "--objective",
        choices=("val_accuracy", "val_loss"),
        help="What is best, on the validation images [val_accuracy].",
    )
    parser.add_argument("--out", help="Folder of the search. Default: searches/RECIPE-TUNER.")
    parser.add_argument("--resume", action="store_true", help="Go on with the search in --out.")
    parser.add_argument("--workers", type=int, default=1, help="Processes that run trials side by side [1].")
    parser.add_argument(
        "--silent_minutes",
        type=float,
        default=30.0,
        help="A worker that trained no step for so long is ended, and its trial run again, once [30].",
    )
    parser.add_argument("--retrain", type=int, default=0, help="Train the best configuration on so many seeds [0].")
    parser.add_argument("--retrain_epochs", type=int, help="Epochs of --retrain. Default: the recipe's.")
    add_flags(parser, skip=("recipe",))


def main(args):
    """The verb: searches what is missing, writes leaderboard and report, and says what failed."""
    bounds = {"workers": 1, "retrain": 0, "retrain_epochs": 1, "trials": 1, "grid_points": 2, "silent_minutes": 0.01}
    for name, least in bounds.items():
        if getattr(args, name) is not None and getattr(args, name) < least:
            raise UserError(f"--{name}={getattr(args, name)}: expected at least {least}.")
    try:
        from ..search import session, supervisor
    except ModuleNotFoundError as error:
        raise UserError(f'The search needs {error.name}: pip install "encapnet_tf[tune]".') from None
    role = supervisor.role()
    if role != "alone" and args.workers > 1:
        raise UserError("--workers starts workers on this machine; KerasTuner's environment variables replace it.")
    out = Path(args.out or f"searches/{_recipe(args)}-{args.tuner or 'random'}")
    run = RunDirectory(out)
    if role == "worker":
        session.work(_awaited(run, 60 * args.silent_minutes), run)
        return
    if args.resume:
        asked = _found(run)
        if _asks(args):
            asked.check_same(plan(args))
        if args.trials is not None:
            asked = replace(asked, trials=args.trials)
    else:
        asked = plan(args)
        run = _made(asked, out)
    _search(asked, run, args, role)


def _search(asked, run, args, role):
    from ..search import leaderboard, session

    try:
        session.search(asked, run, role, args.workers, 60 * args.silent_minutes)
    except KeyboardInterrupt:
        leaderboard.write(asked, run)
        raise UserError(
            "Interrupted. Finished trials are kept; go on with "
            f"encapnet tune --resume --out={shlex.quote(str(run.path))}",
            status=130,
        ) from None
    records = leaderboard.write(asked, run)
    _tell(asked, run, records)
    done = [record for record in records if record["status"] == "completed"]
    again = _retrain(asked, run, args) if args.retrain and done else 0
    failed = [record for record in records if record["status"] == "failed"]
    if failed and not done:
        raise UserError(
            f"Every one of the {len(failed)} trials failed, so there is no best configuration. The first: "
            f"{failed[0]['reason']} Tracebacks are in {run.path}/trial_*/{RECORD_FILE}.",
            status=1,
        )
    if not done:
        raise UserError(f"No trial ended; {run.path} has what there is.", status=1)
    if failed or again:
        told = [f"trial {record['trial']} failed: {record['reason']}" for record in failed]
        told += [f"{again} runs of the best configuration failed; {run.path}/{leaderboard.RETRAINED} says why"] * (
            again > 0
        )
        raise UserError("\n".join([*told, f"Tracebacks are in {run.path}."]), status=1)


def plan(args) -> Plan:
    """The search that parsed flags ask for.

    Raises:
        UserError: a flag is refused.
    """
    config = config_file.configuration(args)
    if args.config is None and args.epochs is None:
        config = replace(config, epochs=max(1, config.epochs // _EPOCHS_SHARE))
    if config.feedback == "none" and args.feedback is None:
        config = override(config, {"feedback": "two"})
    if config.strategy == "multi_worker":
        raise UserError(
            "--strategy=multi_worker is for one run on several machines. A search gives each machine its own trials: "
            "start `encapnet tune` on each with KerasTuner's environment variables."
        )
    space = Space.parse(args.search) if args.search else Space.of(dict.fromkeys(DEFAULT))
    space.check(config)
    tuner = args.tuner or "random"
    trials = args.trials or (None if tuner in ("grid", "hyperband") else _TRIALS)
    return Plan(config, space, tuner, trials, args.objective or "val_accuracy", args.grid_points or _GRID_POINTS)


def _asks(args) -> bool:
    """Whether any flag says what to search, so that a resumed search must be the same."""
    own = (args.recipe, args.config, args.tuner, args.search, args.objective, args.grid_points)
    return any(value is not None for value in own) or bool(config_file.flag_values(args))


def _recipe(args) -> str:
    if args.config is not None:
        return config_file.read_config(args.config).recipe
    return args.recipe or config_file.DEFAULT_RECIPE


def _made(asked, out) -> RunDirectory:
    if out.exists():
        raise UserError(f"{out} exists already. Go on with it by --resume, or choose another --out.")
    run = RunDirectory.create(asked.config.recipe, out)
    run.write_json(PLAN_FILE, asked.to_json())
    return run


def _awaited(run, seconds: float) -> Plan:
    """The plan that the chief writes, perhaps only now."""
    until = time.monotonic() + seconds
    while not run.file(PLAN_FILE).exists():
        if time.monotonic() > until:
            raise UserError(
                f"The chief has begun no search at {run.path}; all machines must see that folder.", status=1
            )
        time.sleep(1)
    return Plan.read(run)


def _found(run) -> Plan:
    if not run.file(PLAN_FILE).exists():
        raise UserError(f"There is no search at {run.path}: no {PLAN_FILE} in it. Without --resume one is begun.")
    return Plan.read(run)


def _tell(asked, run, records):
    from ..search import leaderboard
    from ..search.report_sections import described

    done = [record for record in records if record["status"] == "completed"]
    print(f"\n{len(done)} trials completed, {len(records) - len(done)} did not")
    for rank, record in enumerate(done[:_SHOWN], start=1):
        print(
            f"{rank}.  trial {record['trial']}  validation accuracy {record['validation_accuracy']:.2%}  "
            f"loss {record['validation_loss']:.4f}  {described(record['settings'])}"
        )
    print(f"leaderboard: {run.file(leaderboard.LEADERBOARD)}\nreport:      {run.file(RunDirectory.report_file)}")
    if done:
        print(f"next:        encapnet train --config={shlex.quote(str(run.file(leaderboard.BEST)))}", end="")
        full = _full_epochs(asked.config)
        print("" if full == done[0]["epochs"] else f" --epochs={full}", flush=True)


def _full_epochs(config: Config) -> int:
    return max(config.epochs, RECIPES[config.recipe].config.epochs)


def _retrain(asked, run, args) -> int:
    """Trains the best configuration on several seeds; how many runs failed."""
    from ..ablation.rows import Row
    from ..ablation.run import run_all
    from ..search import leaderboard

    best = config_file.read_config(run.file(leaderboard.BEST))
    epochs = args.retrain_epochs or _full_epochs(best)
    row = Row(f"search/{leaderboard.RETRAINED}", "best configuration")
    planned = [(row, seed, replace(best, seed=seed, epochs=epochs)) for seed in range(args.retrain)]
    failures = run_all(planned, run.path, lambda: None)
    leaderboard.write(asked, run)
    if runs := leaderboard.retrained(run):
        print(
            f"\nbest configuration, {len(runs)} seeds: test accuracy {leaderboard.spread(runs, 'test_accuracy')}, "
            f"validation accuracy {leaderboard.spread(runs, 'validation_accuracy')}"
        )
    return failures
