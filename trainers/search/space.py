"""What a search varies: settings of the configuration, each over a range or a list of values."""

import math
from dataclasses import dataclass, fields

from ..config.recipes import override
from ..config.schema import Config, settings
from ..runs.errors import UserError

# What is searched where nothing else is said: lambda and epsilon of the feedback units.
DEFAULT = ("feedback_weight", "epsilon")
DEPTH = "depth"  # not a setting of its own: that many type II layers in every module
_ALIASES = {"lambda": "feedback_weight"}
_RANGES = {
    "feedback_weight": (0.01, 10.0),
    "epsilon": (0.01, 10.0),
    "iterations": (5, 50),
    "learning_rate": (1e-4, 1e-2),
    DEPTH: (0, 3),
    "feedback": ["half", "same", "two"],
    "routing": ["master", "master_aide"],
}
_MODULES = 4  # of the networks whose depths the configuration leaves to themselves
_OF_THE_UNITS = {"feedback_weight", "epsilon", "iterations", "cost"}
# Trials share the images, the devices and the length, and neither save checkpoints nor record how capsules agree.
_NOT_SEARCHED = {
    *("recipe", "dataset", "data_dir", "classes_file", "image_size", "corrupt_images", "cache_gib", "flip"),
    *("validation_fraction", "train_limit", "epochs", "seed", "strategy", "replicas", "deterministic"),
    *("checkpoint_steps", "keep_checkpoints", "routing_epochs"),
}
_LOG_FROM = 10  # a range over so many times its beginning is searched logarithmically


@dataclass(frozen=True)
class Axis:
    """One searched setting: a range from `low` to `high`, or a list of `values`.

    Attributes:
        name: the setting, or "depth".
        low, high: ends of the range, both of them in it; whole numbers where the setting is one.
        values: what it may be instead, or None.
    """

    name: str
    low: float | None = None
    high: float | None = None
    values: tuple | None = None

    @property
    def logarithmic(self) -> bool:
        return self.values is None and self.low > 0 and self.high / self.low >= _LOG_FROM

    def grid(self, points: int) -> tuple:
        """The values of a grid: those listed, or that many over the range, ends included."""
        if self.values is not None:
            return self.values
        steps = [i / (points - 1) for i in range(points)]
        if self.logarithmic:
            found = [self.low * (self.high / self.low) ** step for step in steps]
        else:
            found = [self.low + (self.high - self.low) * step for step in steps]
        found = [round(value) if isinstance(self.low, int) else rounded(value) for value in found]
        return tuple(dict.fromkeys(found))

    def declare(self, hp, points: int | None = None):
        """Asks KerasTuner's `HyperParameters` for a value; of a grid with `points` values a range."""
        if self.values is not None or points is not None:
            return hp.Choice(self.name, list(self.grid(points)))
        number = hp.Int if isinstance(self.low, int) else hp.Float
        return number(self.name, self.low, self.high, sampling="log" if self.logarithmic else "linear")


@dataclass(frozen=True)
class Space:
    """The searched settings, an `Axis` each."""

    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, ranges: dict) -> "Space":
        """Makes a space of ranges by name.

        Args:
            ranges: setting (or "lambda", or "depth") -> (low, high), a list of values, or None for its usual range.

        Raises:
            UserError: a name cannot be searched, or a range is none.
        """
        axes = tuple(_axis(_ALIASES.get(name, name), wanted) for name, wanted in ranges.items())
        names = [axis.name for axis in axes]
        if len(set(names)) < len(names):
            raise UserError(f"--search={','.join(names)}: expected each setting once.")
        return cls(axes)

    @classmethod
    def parse(cls, text: str) -> "Space":
        """Reads "lambda,epsilon=0.01:1,cost=cosine/euclidean".

        Raises:
            UserError: it says something else.
        """
        ranges = {}
        for part in text.split(","):
            name, _, wanted = part.partition("=")
            if name in ranges:
                raise UserError(f"--search: {name} stands there twice.")
            ends = wanted.split(":")
            if not wanted:
                ranges[name] = None
            elif len(ends) == 2:
                ranges[name] = tuple(_number(end, part) for end in ends)
            else:
                ranges[name] = [_number(value) for value in wanted.split("/")]
        return cls.of(ranges)

    def to_json(self) -> dict:
        """The ranges as JSON types; `from_json` undoes it."""
        return {axis.name: [getattr(axis, field.name) for field in fields(Axis)[1:]] for axis in self.axes}

    @classmethod
    def from_json(cls, ranges: dict) -> "Space":
        return cls(
            tuple(
                Axis(name, low, high, None if values is None else tuple(values))
                for name, (low, high, values) in ranges.items()
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.axes)

    def declare(self, hp, points: int | None = None) -> dict:
        """Declares every axis on KerasTuner's `HyperParameters`; its values by name, numbers to four digits."""
        values = {axis.name: axis.declare(hp, points) for axis in self.axes}
        return {name: rounded(value) if isinstance(value, float) else value for name, value in values.items()}

    def configured(self, base: Config, values: dict) -> Config:
        """A configuration with the searched settings at some values.

        Args:
            base: the settings that are not searched.
            values: name of an axis -> value.

        Raises:
            UserError: a value is not one of the setting's.
        """
        values = dict(values)
        if DEPTH in values:
            values["depths"] = (values.pop(DEPTH),) * (len(base.depths) if base.depths else _MODULES)
        lists = {setting.name for setting in settings() if str(setting.type).startswith("tuple")}
        return override(base, {name: (v,) if name in lists and name != "depths" else v for name, v in values.items()})

    def check(self, base: Config):
        """Refuses ranges that leave what a setting may be, and units' settings where there is no unit.

        Raises:
            UserError: as said.
        """
        for axis in self.axes:
            for value in axis.values or (axis.low, axis.high):
                self.configured(base, {axis.name: value})
        placements = next((axis.values for axis in self.axes if axis.name == "feedback"), (base.feedback,))
        if "none" in placements and (idle := sorted(_OF_THE_UNITS & set(self.names))):
            raise UserError(
                f"--feedback=none has no feedback units, so {', '.join(idle)} would change nothing. Choose "
                "--feedback=half, same or two, or search other settings."
            )


def rounded(value: float) -> float:
    """To four digits: what a file says is what was used, and what a reader can repeat."""
    return float(f"{value:.4g}")


def _axis(name, wanted) -> Axis:
    setting = next((setting for setting in settings() if setting.name == name), None)
    if name != DEPTH and (setting is None or name in _NOT_SEARCHED):
        known = ", ".join(["lambda", *_RANGES, "cost"])
        why = "" if setting is None else f", for it is the same in every trial; --{name} says it once"
        raise UserError(f"--search={name}: it cannot be searched{why}. Expected settings such as {known}.")
    if wanted is None:
        wanted = _RANGES.get(name) or list(setting.metadata["choices"] or ())
        if not wanted:
            raise UserError(f"--search={name}: say its range, {name}=LOW:HIGH, or values, {name}=A/B/C.")
    if isinstance(wanted, list):
        kinds = {type(value) for value in wanted}
        if kinds == {int, float}:
            wanted = [float(value) for value in wanted]
        elif len(kinds) > 1:
            raise UserError(f"--search={name}: expected values of one kind. Received: {wanted}.")
        return Axis(name, values=tuple(rounded(v) if isinstance(v, float) else v for v in wanted))
    low, high = wanted
    whole = name == DEPTH or setting.metadata["parse"] is int
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in wanted) or not low < high:
        raise UserError(f"--search={name}={low}:{high}: expected a range from a lower to a higher number.")
    if whole and not all(isinstance(end, int) for end in wanted):
        raise UserError(f"--search={name}={low}:{high}: expected whole numbers.")
    return Axis(name, *wanted) if whole else Axis(name, float(low), float(high))


def _number(text, part=None):
    """A number or a word; where a range is read, only a number."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if part is not None:
        raise UserError(f"--search={part}: expected NAME=LOW:HIGH with two numbers.")
    return {"true": True, "false": False}.get(text, text)
