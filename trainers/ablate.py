"""`encapnet ablate`: the rows of one of the paper's tables, run one after another; goes on where it stopped."""

import traceback
from contextlib import suppress
from pathlib import Path

from . import ablation_table
from .ablation_rows import TABLES, Row, chosen
from .config import NETWORK_SETTINGS, Config, add_flags, settings
from .errors import UserError, reason
from .recipes import RECIPES, resolve
from .run_directory import RunDirectory
from .stop_signal import StopSignal

_OWN = ("recipe", "model", "seed")  # settings that the rows and --seeds decide


def add_arguments(parser):
    parser.add_argument("--table", choices=tuple(TABLES), default="table3", help="Table to run [table3].")
    parser.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help="Recipe that the rows change. Default: digits; of labels fashion_mnist; of table4 each row's.",
    )
    parser.add_argument("--rows", default="", help="Rows to run: c,c2,d* for example. Default: all.")
    parser.add_argument("--seeds", type=int, default=1, help="Runs of each row, seeds 0, 1, ... [1].")
    parser.add_argument("--out", help="Folder of the runs and the table. Default: ablations/TABLE-RECIPE.")
    parser.add_argument("--results", help="Markdown file to write the table to as well.")
    add_flags(parser, skip=_OWN)


def main(args):
    """The verb: runs what is missing, writes the table after every run, and says what failed."""
    if args.seeds < 1:
        raise UserError(f"--seeds={args.seeds}: expected at least 1.")
    rows = chosen(args.table, [pattern for pattern in args.rows.split(",") if pattern])
    given = {setting.name: getattr(args, setting.name, None) for setting in settings() if setting.name not in _OWN}
    flags = {name: value for name, value in given.items() if value is not None}
    recipe = args.recipe or ("each" if args.table == "table4" else rows[0].recipe)
    out = Path(args.out or f"ablations/{args.table}-{recipe}")
    planned = plan(rows, args.recipe, flags, args.seeds)
    failures = run_all(planned, out, lambda: _write(args.table, out, args.results))
    table = _write(args.table, out, args.results)
    print(f"\n{table.read_text(encoding='utf-8')}\ntable:   {table}")
    if failures:
        raise UserError(f"{failures} of {len(planned)} runs failed; the table says why.", status=1)


def _write(table, out, results) -> Path:
    file = ablation_table.write(TABLES[table], out)
    if results:
        try:
            Path(results).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
        except OSError as error:
            raise UserError(f"--results={results} cannot be written: {error.strerror}.") from None
    return file


def plan(rows: list[Row], recipe: str | None, flags: dict, seeds: int) -> list[tuple[Row, int, Config]]:
    """What to run: for each row and seed a configuration.

    A row's settings override the recipe's, and flags override both. Flags that are a network's own settings hold for
    the rows whose network has them.

    Args:
        rows: the rows.
        recipe: name of the recipe; None takes each row's own.
        flags: setting -> value from the command line.
        seeds: how many.

    Raises:
        UserError: a setting's value is refused.
    """
    return [
        (row, seed, _configuration(row, recipe or row.recipe, flags, seed)) for row in rows for seed in range(seeds)
    ]


def _configuration(row, recipe, flags, seed):
    from .network import takes

    base = RECIPES[recipe].config
    model = row.settings.get("model", base.model)
    kept = {name: getattr(base, name) for name in row.keep}
    mine = {name: value for name, value in flags.items() if name not in NETWORK_SETTINGS or takes(model, name)}
    return resolve(recipe, {**kept, **row.settings, **mine, "seed": seed})


def run_all(planned, out: Path, after_each) -> int:
    """Trains what `out` does not hold yet; rows of one configuration share one run.

    Args:
        planned: what `plan` gives.
        out: folder; a run is `out/ROW/seedN`.
        after_each: called after every run.

    Returns:
        How many runs failed.

    Raises:
        UserError: `out` holds a run of the same name with other settings, another process runs rows there, or it
            cannot be written.
    """
    failures, known = 0, {}
    with suppress(OSError):  # the lock, which cannot be made then, says why
        out.mkdir(parents=True, exist_ok=True)
    with RunDirectory(out).locked():
        for number, (row, seed, config) in enumerate(planned, start=1):
            place = folder(out, row, seed)
            state = _state(place, config)
            if state is None:
                print(f"[{number}/{len(planned)}] {row.name}, {row.about}, seed {seed}", flush=True)
                state = _run(place, config, known.get(config))
                after_each()
            failures += state == "failed"
            known.setdefault(config, place)
    return failures


def folder(out: Path, row: Row, seed: int) -> Path:
    """Where a row's run is."""
    return out / row.name.split("/")[1] / f"seed{seed}"


def _state(place, config) -> str | None:
    """ "done", "failed", or None where nothing is: a run that was cut off makes room."""
    if (place / RunDirectory.same_file).exists():
        shared = place.parent.parent / RunDirectory(place).read_json(RunDirectory.same_file, "run")["run"]
        if (state := _state(shared, config)) is None:
            _move_aside(place)
        return state
    if not (place / RunDirectory.config_file).exists():
        if place.exists():
            _move_aside(place)
        return None
    found = Config.from_json(RunDirectory(place).read_json(RunDirectory.config_file, "config")["config"])
    if other := [name for name, value in config.__dict__.items() if getattr(found, name) != value]:
        told = ", ".join(f"{name}={getattr(found, name)} there, {getattr(config, name)} now" for name in other)
        raise UserError(f"{place} holds a run with other settings: {told}. Choose another --out, or remove it.")
    if (place / RunDirectory.failed_file).exists():
        print(f"{place} failed before; remove it to run it again.", flush=True)
        return "failed"
    if (place / RunDirectory.summary_file).exists():
        return "done"
    _move_aside(place)
    return None


def _move_aside(place):
    """An unfinished run is kept under another name."""
    number = 1
    while (aside := place.with_name(f"{place.name}-unfinished{number}")).exists():
        number += 1
    place.rename(aside)


def _run(place, config, same) -> str:
    """Trains one model; what goes wrong is written down, not raised."""
    import keras

    from .train import train

    place.parent.mkdir(parents=True, exist_ok=True)
    if same is not None:
        place.mkdir()
        run = str(same.relative_to(place.parent.parent))
        RunDirectory(place).write_json(RunDirectory.same_file, {"run": run})
        return "failed" if (same / RunDirectory.failed_file).exists() else "done"
    try:
        train(config, place)
        return "done"
    except Exception as error:  # whatever a network can do wrong: the other rows must still run
        if isinstance(error, UserError) and error.status in (130, StopSignal.status):
            raise
        place.mkdir(exist_ok=True)
        run, why = RunDirectory(place), reason(error)
        if not run.file(RunDirectory.config_file).exists():
            run.write_json(RunDirectory.config_file, {"config": config.to_json()})
        run.write_json(RunDirectory.failed_file, {"reason": why, "traceback": traceback.format_exc()})
        print(f"failed: {why}", flush=True)
        return "failed"
    finally:
        keras.backend.clear_session()
