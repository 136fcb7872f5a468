"""Training of all models of an ablation study, one after another.

Models that are already trained are skipped.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..config.composition import ONE_LABEL_LOSSES
from ..config.recipes import RECIPES, override
from ..config.schema import Config, network_settings
from ..fitting.unattended import COMPLETED, FAILED, FAILURE_FILE, previous_outcome, train_or_record_failure
from ..runs.atomic_files import set_aside
from ..runs.atomic_folder import AtomicFolder
from .rows import SHARED_RUN_FILE, Row, run_folder


@dataclass(frozen=True)
class PlannedRun:
    """One training run of an ablation study, defined by a model configuration and a random seed.

    Attributes:
        row: the row.
        seed: the seed.
        config: the configuration that the row and the seed make.
    """

    row: Row
    seed: int
    config: Config


def plan_runs(
    rows: list[Row], recipe: str | None, flags: dict, seeds: int, base: Config | None = None
) -> list[PlannedRun]:
    """Return the list of training runs of an ablation study, one for each pair of configuration and random seed.

    A row's settings override the recipe's, and flags override both. Flags that belong to a network apply to the rows
    whose network has them. On pairs of objects, a row whose loss takes a single label has the margin loss.

    Args:
        rows: the rows.
        recipe: name of the recipe; None takes each row's own.
        flags: setting -> value from the command line.
        seeds: number of runs of each row; their seeds are 0, 1, ....
        base: configuration to take instead of the recipe's.

    Raises:
        UserError: a setting's value is refused.
    """
    return [
        PlannedRun(row, seed, _configuration(row, base or RECIPES[recipe or row.recipe].config, flags, seed))
        for row in rows
        for seed in range(seeds)
    ]


def _configuration(row, base: Config, flags, seed) -> Config:
    from ..fitting.network import takes

    model = row.settings.get("model", base.model)
    recipe_settings = {name: getattr(base, name) for name in row.keep}
    applicable = {name: value for name, value in flags.items() if name not in network_settings() or takes(model, name)}
    settings = {**recipe_settings, **row.settings, **applicable, "seed": seed}
    if "loss" not in flags and settings.get("compose") == "overlap" and settings.get("loss") in ONE_LABEL_LOSSES:
        settings["loss"] = "margin"  # so that one command runs the whole table
    return override(base, settings)


def run_all(runs: list[PlannedRun], out: Path, after_each_run: Callable[[], object]) -> int:
    """Carry out all unfinished training runs of an ablation study, and return the number of failed runs.

    Runs with equal configurations are trained once; the others refer to that run.

    Args:
        runs: the runs, as `plan_runs` returns them.
        out: the ablation's folder; a run is written to `out/ROW/seedN`.
        after_each_run: function called after every run.

    Raises:
        UserError: `out` holds a run of one of the rows with other settings, another process runs rows there, or it
            cannot be written.
    """
    failures = 0
    first_with: dict[Config, Path] = {}  # configuration -> the first folder of a run with it
    with suppress(OSError):  # the lock reports the reason
        out.mkdir(parents=True, exist_ok=True)
    with AtomicFolder(out).locked():
        for number, run in enumerate(runs, start=1):
            folder = run_folder(out, run.row, run.seed)
            outcome = _previous_outcome(out, folder, run.config)
            if outcome is None:
                print(f"[{number}/{len(runs)}] {run.row.name}, {run.row.about}, seed {run.seed}", flush=True)
                if run.config in first_with:
                    outcome = _link_to_run(out, folder, first_with[run.config])
                else:
                    outcome = train_or_record_failure(run.config, folder)
                after_each_run()
            failures += outcome == FAILED
            first_with.setdefault(run.config, folder)
    return failures


def _previous_outcome(out, folder, config) -> str | None:
    """Return the outcome (completed or failed) of the training run in a folder, or None if no run has ended there.

    A folder that refers to another row's run has the outcome of that run.
    """
    if not (folder / SHARED_RUN_FILE).exists():
        return previous_outcome(folder, config)
    shared_run = out / AtomicFolder(folder).read_json(SHARED_RUN_FILE, "run")["run"]
    outcome = _previous_outcome(out, shared_run, config)
    if outcome is None:
        set_aside(folder, "-unfinished")
    return outcome


def _link_to_run(out, folder, shared_run) -> str:
    """Write a file with the path of the earlier training run that an ablation study reuses.

    The file is in `folder`. Return the outcome of that run, `COMPLETED` or `FAILED`.
    """
    folder.mkdir(parents=True)
    AtomicFolder(folder).write_json(SHARED_RUN_FILE, {"run": str(shared_run.relative_to(out))})
    return FAILED if (shared_run / FAILURE_FILE).exists() else COMPLETED
