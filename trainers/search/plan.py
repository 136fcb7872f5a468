"""What a search is to do: kept in its folder, so that resuming it needs no flag."""

from dataclasses import dataclass

from ..config.schema import Config
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .space import Space

PLAN_FILE = "search.json"
TUNERS = ("random", "bayesian", "hyperband", "grid")


@dataclass(frozen=True)
class Plan:
    """A search's settings.

    Attributes:
        config: the settings that are not searched; `epochs` is of a trial.
        space: what is searched.
        tuner: one of `TUNERS`.
        trials: at most so many; None leaves it to a grid or to Hyperband.
        objective: "val_accuracy" or "val_loss".
        grid_points: values of a range in a grid.
    """

    config: Config
    space: Space
    tuner: str
    trials: int | None
    objective: str
    grid_points: int

    @property
    def points(self) -> int | None:
        """Values of a range, or None where ranges are continuous."""
        return self.grid_points if self.tuner == "grid" else None

    def to_json(self) -> dict:
        return {**self.__dict__, "config": self.config.to_json(), "space": self.space.to_json()}

    @classmethod
    def read(cls, run: RunDirectory) -> "Plan":
        """Reads a search's plan.

        Raises:
            UserError: it is missing or damaged.
        """
        names = cls.__dataclass_fields__
        values = run.read_json(PLAN_FILE, *names)
        known = {name: values[name] for name in names}
        config, space = Config.from_json(values["config"]), Space.from_json(values["space"])
        return cls(**{**known, "config": config, "space": space})

    def check_same(self, asked: "Plan"):
        """Refuses to go on with this plan where another was asked for; only the number of trials may differ.

        Raises:
            UserError: as said; the message names what differs.
        """
        ours, theirs = ({**plan.__dict__, **plan.config.to_json()} for plan in (self, asked))
        if other := [name for name in ours if name not in ("trials", "config") and ours[name] != theirs[name]]:
            raise UserError(
                f"The search was begun with other settings: {', '.join(other)}. Leave them out to go on with its own, "
                "or begin another with --out."
            )
