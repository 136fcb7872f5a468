"""Settings of a hyper-parameter search, saved in a file so that the search can resume."""

import dataclasses
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config.naming import series_name
from ..config.recipes import override
from ..config.schema import Config
from ..runs.atomic_folder import AtomicFolder
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .space import DEFAULT, Space

PLAN_FILE = "search.json"
TUNERS = ("random", "bayesian", "hyperband", "grid")
DEFAULT_TRIALS = 12
DEFAULT_GRID_POINTS = 4
_EPOCHS_DIVISOR = 8  # a trial trains an eighth of the recipe's epochs


@dataclass(frozen=True)
class Plan:
    """Settings of a hyper-parameter search, such as the search space, the objective and the number of trials.

    Attributes:
        config: the settings that are not searched; `config.epochs` is the length of a trial.
        space: the searched settings.
        tuner: one of `TUNERS`.
        trials: the largest number of trials; None leaves it to a grid or to Hyperband.
        objective: "val_accuracy" or "val_loss".
        grid_points: number of values that a grid takes from a range.
        full_epochs: epochs of a complete training, if they were chosen for the data; None means the recipe's.
    """

    config: Config
    space: Space
    tuner: str
    trials: int | None
    objective: str
    grid_points: int
    full_epochs: int | None = None

    @property
    def points(self) -> int | None:
        """Number of grid points per hyper-parameter, or None if the search is not a grid search."""
        return self.grid_points if self.tuner == "grid" else None

    def to_json(self) -> dict:
        return {**self.__dict__, "config": self.config.to_json(), "space": self.space.to_json()}

    def write(self, folder: AtomicFolder) -> None:
        """Write the settings of a hyper-parameter search to a JSON file."""
        folder.write_json(PLAN_FILE, self.to_json())

    def create_folder(self, out: Path) -> AtomicFolder:
        """Create a folder for a new hyper-parameter search, and write the search settings to a file there.

        Raises:
            UserError: the folder exists, cannot be made, or its name is refused.
        """
        if out.exists():
            raise UserError(f"{out} exists already. Resume its search with --resume, or choose another --out.")
        folder = AtomicFolder(RunDirectory.create(series_name(self.config), out).path)  # names follow the rule of runs
        self.write(folder)
        return folder

    @classmethod
    def read(cls, folder: AtomicFolder) -> "Plan":
        """Read the settings of a hyper-parameter search from a JSON file.

        Raises:
            UserError: the plan is missing or damaged.
        """
        if not folder.file(PLAN_FILE).exists():
            raise UserError(
                f"There is no search at {folder.path}: it has no {PLAN_FILE}. Leave --resume out to begin a search."
            )
        fields = dataclasses.fields(cls)
        required = [field.name for field in fields if field.default is dataclasses.MISSING]
        stored = folder.read_json(PLAN_FILE, *required)
        values: dict[str, Any] = {field.name: stored.get(field.name) for field in fields}
        values |= {"config": Config.from_json(stored["config"]), "space": Space.from_json(stored["space"])}
        return cls(**values)

    @classmethod
    def wait_for(cls, folder: AtomicFolder, seconds: float) -> "Plan":
        """Wait until another process has written the settings file of a hyper-parameter search, and read the file.

        Raises:
            UserError: no plan appeared within `seconds`, or it is damaged.
        """
        deadline = time.monotonic() + seconds
        while not folder.file(PLAN_FILE).exists():
            if time.monotonic() > deadline:
                raise UserError(
                    f"The chief has begun no search at {folder.path} within {seconds:.0f} s. Start the chief, and "
                    "check that this machine shares that folder with it.",
                    status=1,
                )
            time.sleep(1)
        return cls.read(folder)

    def check_same(self, other: "Plan") -> None:
        """Raise `UserError` if the settings of two hyper-parameter searches differ, except in the number of trials.

        Raises:
            UserError: the plans differ; the message names the settings.
        """
        ours, theirs = ({**plan.__dict__, **plan.config.to_json()} for plan in (self, other))
        if different := [name for name in ours if name not in ("trials", "config") and ours[name] != theirs[name]]:
            raise UserError(
                f"The search was begun with other settings: {', '.join(different)}. Leave these flags out to resume "
                "it, or begin another search with --out."
            )


def new_plan(
    config: Config,
    *,
    search: str | None = None,
    tuner: str | None = None,
    trials: int | None = None,
    objective: str | None = None,
    grid_points: int | None = None,
) -> Plan:
    """Return the settings of a new hyper-parameter search, with defaults for omitted arguments.

    Args:
        config: the settings that are not searched.
        search: settings to search, in the form that `Space.parse` reads. Default: lambda and epsilon.
        tuner: one of `TUNERS`. Default: "random".
        trials: the largest number of trials. Default: 12; the whole grid; Hyperband's own number.
        objective: "val_accuracy" or "val_loss". Default: "val_accuracy".
        grid_points: number of values that a grid takes from a range. Default: 4.

    Raises:
        UserError: the configuration or the space is refused.
    """
    if config.strategy == "multi_worker":
        raise UserError(
            "--strategy=multi_worker is for one run on several machines. A search gives each machine its own trials: "
            "start `encapnet tune` on each with KerasTuner's environment variables."
        )
    space = Space.parse(search) if search is not None else Space.of(dict.fromkeys(DEFAULT))
    space.check(config)
    tuner = tuner or "random"
    trials = trials or (None if tuner in ("grid", "hyperband") else DEFAULT_TRIALS)
    return Plan(config, space, tuner, trials, objective or "val_accuracy", grid_points or DEFAULT_GRID_POINTS)


def trial_config(config: Config, *, keep_epochs: bool, keep_feedback: bool) -> Config:
    """Return a training configuration for search trials, with fewer epochs and Sinkhorn-divergence regularisers.

    Epochs and feedback units that the user chose stay. Units are added only where the recipe has none.

    Args:
        config: the recipe's configuration.
        keep_epochs: whether the user chose the number of epochs; otherwise trials train an eighth of the recipe's.
        keep_feedback: whether the user chose the feedback units; otherwise a recipe without units gets two a module.
    """
    if not keep_epochs:
        config = replace(config, epochs=max(1, config.epochs // _EPOCHS_DIVISOR))
    if not keep_feedback and config.feedback == "none":
        config = override(config, {"feedback": "two"})
    return config
