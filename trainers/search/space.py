"""Search space of a hyper-parameter search, with a range or list of values for each hyper-parameter."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from ..config.idle_settings import either
from ..config.recipes import override
from ..config.schema import Config, settings
from ..config.setting import as_flag, kind_of
from ..config.suggestions import did_you_mean
from ..runs.errors import UserError

DEFAULT = ("feedback_weight", "epsilon")  # what is searched if the user names no setting
_MODULES = 4  # of a network whose depths are left to its builder
_LOGARITHMIC_FROM = 10  # ratio of a range's ends from which on it is sampled logarithmically


@dataclass(frozen=True)
class Axis:
    """One hyper-parameter to search, with a range or a list of values to try.

    Attributes:
        name: the setting, or "depth", the number of type II layers in every module.
        low, high: ends of the range, both included; integers for a setting of whole numbers.
        values: the values to try instead of a range, or None.
    """

    name: str
    low: float | None = None
    high: float | None = None
    values: tuple | None = None

    @property
    def logarithmic(self) -> bool:
        """True if a hyper-parameter range is sampled on a logarithmic scale."""
        if self.low is None or self.high is None or self.low <= 0:
            return False
        return self.high / self.low >= _LOGARITHMIC_FROM

    def grid(self, points: int) -> tuple:
        """Return the values that a grid search tries for one hyper-parameter.

        Both ends are included, and duplicates are left out.
        """
        if self.values is not None:
            return self.values
        low, high = cast(float, self.low), cast(float, self.high)
        fractions = [i / (points - 1) for i in range(points)]
        if self.logarithmic:
            values = [low * (high / low) ** fraction for fraction in fractions]
        else:
            values = [low + (high - low) * fraction for fraction in fractions]
        values = [round(value) if isinstance(low, int) else _four_digits(value) for value in values]
        return tuple(dict.fromkeys(values))

    def declare(self, hp, points: int | None = None):
        """Register one hyper-parameter with KerasTuner, and return the value for the current trial.

        Args:
            hp: the hyper-parameters of a trial.
            points: values of a range in a grid search; None leaves ranges continuous.
        """
        if self.values is not None:
            return hp.Choice(self.name, list(self.values))
        if points is not None:
            return hp.Choice(self.name, list(self.grid(points)))
        number = hp.Int if isinstance(self.low, int) else hp.Float
        return number(self.name, self.low, self.high, sampling="log" if self.logarithmic else "linear")


@dataclass(frozen=True)
class Space:
    """Hyper-parameters that a search varies, and the values to try for each of them."""

    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, ranges: Mapping) -> "Space":
        """Create a search space from a mapping of hyper-parameter names to ranges or lists of values.

        Args:
            ranges: name of a setting (or its alias "lambda", or "depth") -> (low, high), a list of values, or None for
                its usual range or values.

        Raises:
            UserError: a setting cannot be searched or is named twice, or a range is empty.
        """
        axes = tuple(_axis(name, choice) for name, choice in ranges.items())
        names = [axis.name for axis in axes]
        if len(set(names)) < len(names):
            raise UserError(f"--search={','.join(names)}: expected each setting once.")
        return cls(axes)

    @classmethod
    def parse(cls, text: str) -> "Space":
        """Parse a search space from text such as "feedback_weight,epsilon=0.01:1,cost=cosine/euclidean".

        It is the value of the flag `--search`.

        Raises:
            UserError: the text is malformed, or names a setting that cannot be searched.
        """
        ranges: dict[str, tuple | list | None] = {}
        for part in text.split(","):
            name, equals, choice = part.partition("=")
            if not name.strip() or (equals and not choice):
                raise UserError(f"--search={text}: a setting or its range is missing. Expected lambda,epsilon=0.01:1.")
            if name in ranges:
                raise UserError(f"--search: {name} is named twice. Expected each setting once.")
            ends = choice.split(":")
            if not choice:
                ranges[name] = None
            elif len(ends) == 2:
                ranges[name] = tuple(_number(end, part) for end in ends)
            else:
                ranges[name] = [_value(value) for value in choice.split("/")]
        return cls.of(ranges)

    def to_json(self) -> dict:
        """Return the search space as a JSON-serialisable dictionary."""
        return {axis.name: [axis.low, axis.high, axis.values and list(axis.values)] for axis in self.axes}

    @classmethod
    def from_json(cls, ranges: dict) -> "Space":
        """Create a search space from a JSON-serialisable dictionary.

        `to_json` returns such a dictionary.
        """
        return cls(
            tuple(
                Axis(name, low, high, None if values is None else tuple(values))
                for name, (low, high, values) in ranges.items()
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the hyper-parameters to search."""
        return tuple(axis.name for axis in self.axes)

    def declare(self, hp, points: int | None = None) -> dict:
        """Register all searched hyper-parameters with KerasTuner, and return the values for the current trial.

        The values are in a dictionary, with numbers rounded to four digits.
        """
        values = {axis.name: axis.declare(hp, points) for axis in self.axes}
        return {name: _four_digits(value) if isinstance(value, float) else value for name, value in values.items()}

    def configured(self, base: Config, values: dict) -> Config:
        """Return a copy of a training configuration with given hyper-parameter values.

        Args:
            base: the settings that are not searched.
            values: axis -> value.

        Raises:
            UserError: a setting does not take its value.
        """
        overrides = {}
        for name, value in values.items():
            setting = _setting_of_axis(name)
            if name == setting.metadata["search"].per_module:
                value = (value,) * (len(getattr(base, setting.name) or ()) or _MODULES)
            elif kind_of(setting).is_list:
                value = (value,)
            overrides[setting.name] = value
        return override(base, overrides)

    def check(self, base: Config) -> None:
        """Raise `UserError` if a search space contains an invalid value or a hyper-parameter without effect.

        Args:
            base: the settings that are not searched.

        Raises:
            UserError: the message names the value, or why the setting has no effect. Or trials could not follow a
                setting of `base`.
        """
        _check_trials(base)
        for axis in self.axes:
            for value in axis.values or (axis.low, axis.high):
                self.configured(base, {axis.name: value})
        reasons = {axis.name: self._why_ignored(axis, base) for axis in self.axes}
        if first := next(filter(None, reasons.values()), None):
            names = ", ".join(sorted(name for name, reason in reasons.items() if reason == first))
            cause, remedy = first
            raise UserError(f"{cause} {names} would change nothing. {remedy}, or search other settings.")

    def _why_ignored(self, axis, base) -> tuple[str, str] | None:
        """Return the reason why a hyper-parameter has no effect in some trials, or None if it always has an effect.

        The reason is a pair of cause and remedy.
        """
        from ..fitting.network import takes

        setting = _setting_of_axis(axis.name)
        for model in self._trial_values("model", base):
            if setting.metadata["network"] and not takes(model, setting.name):
                return f"--model={model} has no setting {setting.name}, so", "Choose another --model"
        for other, effective_values in setting.metadata["used_with"].items():
            for value in self._trial_values(other, base):
                if not any(item in effective_values for item in (value if isinstance(value, tuple) else (value,))):
                    consequence = " has no feedback units, so" if other == "feedback" else ":"
                    choices = [item for item in effective_values if item is not None]
                    return (
                        f"--{other}={as_flag(value)}{consequence}",
                        f"Choose --{other}={either([str(item) for item in choices])}",
                    )
        return None

    def _trial_values(self, name, base) -> tuple:
        """Return the values that a hyper-parameter search tries for one training setting.

        Without listed values, that is the configured value alone.
        """
        return next((axis.values for axis in self.axes if axis.name == name and axis.values), (getattr(base, name),))


def _check_trials(base: Config) -> None:
    """Raise `UserError` if a configuration has settings that a hyper-parameter search does not support.

    They are early stopping and initial weights.
    """
    reasons = {
        f"--early_stopping={base.early_stopping}": base.early_stopping
        and "every trial trains for all its epochs, or for those of --tuner=hyperband",
        f"--init_weights={base.init_weights}": base.init_weights is not None and "every trial starts from new weights",
    }
    for setting, reason in reasons.items():
        if reason:
            raise UserError(
                f"{setting} does not go with a search: {reason}. Leave it out, and give it to the training with the "
                "best settings, `encapnet train --config=SEARCH/best.json`."
            )


def _four_digits(value: float) -> float:
    """Round a number to four significant digits.

    A file then shows exactly the value that a trial used.
    """
    return float(f"{value:.4g}")


def _setting_of_axis(name: str) -> dataclasses.Field:
    """Return the training configuration field for a hyper-parameter, or raise `UserError` for an unknown name.

    The file of a plan may name a setting that this version does not know.
    """
    setting = _find_setting(name)
    if setting is None:
        raise UserError(
            f"The search varies {name}, which is no setting. Expected the plan of this version of the package."
        )
    return setting


def _find_setting(name: str) -> dataclasses.Field | None:
    """Find a training setting by name or alias, and return the dataclass field, or None for an unknown name."""
    for setting in settings():
        search = setting.metadata["search"]
        if name in (setting.name, search.alias, search.per_module):
            return setting
    return None


def _axis(name, choice) -> Axis:
    setting = _find_setting(name)
    if setting is None or setting.metadata["search"].refusal:
        raise UserError(_refusal(name, setting))
    search, kind = setting.metadata["search"], kind_of(setting)
    name = search.per_module or setting.name
    if choice is None:
        choice = search.usual or list(setting.metadata["choices"] or ())
        if not choice:
            raise UserError(f"--search={name}: give a range, {name}=LOW:HIGH, or values, {name}=A/B/C.")
    if isinstance(choice, list):
        kinds = {type(value) for value in choice}
        if kinds == {int, float}:
            choice = [float(value) for value in choice]
        elif len(kinds) > 1:
            raise UserError(f"--search={name}: expected values of one kind. Received: {choice}.")
        return Axis(name, values=tuple(_four_digits(v) if isinstance(v, float) else v for v in choice))
    low, high = choice
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in choice) or not low < high:
        raise UserError(f"--search={name}={low}:{high}: expected a range from a lower to a higher number.")
    if kind.item is not int:
        return Axis(name, float(low), float(high))
    if not all(isinstance(end, int) for end in choice):
        raise UserError(f"--search={name}={low}:{high}: expected whole numbers.")
    return Axis(name, low, high)


def _refusal(name, setting) -> str:
    searches = {field.name: field.metadata["search"] for field in settings()}
    usual = ", ".join(search.per_module or name for name, search in searches.items() if search.usual)
    if setting is None:
        known = [name for field, search in searches.items() for name in (field, search.alias, search.per_module)]
        hint = did_you_mean(name, filter(None, known))
        return f"--search={name}: it cannot be searched, because there is no such setting{hint}. Usual are {usual}."
    return (
        f"--search={name}: it cannot be searched, because {searches[name].refusal}. Set it once with --{name}. Usual "
        f"settings to search are {usual}."
    )


def _number(text, part):
    value = _value(text)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UserError(f"--search={part}: expected NAME=LOW:HIGH with two numbers.")
    return value


def _value(text):
    """Convert text to an integer, float or boolean if possible, otherwise return the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)
