"""Comparison of training configurations, to find the settings in which they differ."""

import dataclasses
from collections.abc import Mapping, Sequence

from .schema import settings


def differing_settings(configs: Sequence[Mapping]) -> dict[str, list]:
    """Return the settings whose values are not the same in all training configurations.

    Args:
        configs: the object "config" of each run's config.json. A setting that one of them lacks, because another
            version of the library wrote it, has its default there.

    Returns:
        Setting -> its value in each configuration, in the order in which the settings are defined. Settings that this
        version does not know come last; where they are missing, their value is None.

    Example:

    >>> differing_settings([{"seed": 0, "epochs": 3, "depths": [1, 1]}, {"seed": 1, "depths": [1, 1]}])
    {'epochs': [3, 40], 'seed': [0, 1]}
    """
    defaults = {field.name: _as_json(field.default) for field in settings()}
    unknown = dict.fromkeys(name for config in configs for name in config if name not in defaults)
    values = {
        name: [config.get(name, default) for config in configs] for name, default in {**defaults, **unknown}.items()
    }
    return {name: column for name, column in values.items() if any(value != column[0] for value in column)}


def setting_text(value: object) -> str:
    """Format a setting's value from config.json in the syntax of the command-line flag.

    None, which leaves the choice to the network or to the data, is "default".
    """
    if value is None:
        return "default"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(setting_text, value)) if isinstance(value, (list, tuple)) else str(value)


def _as_json(default):
    if default is dataclasses.MISSING:
        return None
    return list(default) if isinstance(default, tuple) else default
