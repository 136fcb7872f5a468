"""Train the rows of a table one after another; a later call continues with the rows that are missing."""

import traceback
from contextlib import suppress
from pathlib import Path

from ..config.recipes import RECIPES, resolve
from ..config.schema import Config, network_settings
from ..fitting.interruption import StopSignal
from ..runs.errors import UserError, reason
from ..runs.run_directory import RunDirectory
from .rows import FAILURE_FILE, SHARED_RUN_FILE, Row


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
    from ..fitting.network import takes

    base = RECIPES[recipe].config
    model = row.settings.get("model", base.model)
    kept = {name: getattr(base, name) for name in row.keep}
    mine = {name: value for name, value in flags.items() if name not in network_settings() or takes(model, name)}
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
    if (place / SHARED_RUN_FILE).exists():
        shared = place.parent.parent / RunDirectory(place).read_json(SHARED_RUN_FILE, "run")["run"]
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
    if (place / FAILURE_FILE).exists():
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

    from ..fitting.train import train

    place.parent.mkdir(parents=True, exist_ok=True)
    if same is not None:
        place.mkdir()
        run = str(same.relative_to(place.parent.parent))
        RunDirectory(place).write_json(SHARED_RUN_FILE, {"run": run})
        return "failed" if (same / FAILURE_FILE).exists() else "done"
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
        run.write_json(FAILURE_FILE, {"reason": why, "traceback": traceback.format_exc()})
        print(f"failed: {why}", flush=True)
        return "failed"
    finally:
        keras.backend.clear_session()
