"""Detection of settings that have no effect together with the others."""

from collections.abc import Collection

from .schema import Config, settings
from .setting import as_flag


def idle_settings(config: Config, given: Collection[str], varied: Collection[str] = ()) -> list[str]:
    """Return a sentence for each setting that the user gave and that has no effect, and what would give it one.

    Args:
        config: the configuration.
        given: names of the settings that the user gave.
        varied: names of settings that a search varies, so that the configuration does not have their values.

    Example:

    >>> idle_settings(Config(), {"epsilon"})
    ['--epsilon=1.0 has no effect with --feedback=none. It is used with --feedback=half, same or two.']
    """
    sentences = []
    for setting in settings():
        if setting.name not in given:
            continue
        for other, effective_values in setting.metadata["used_with"].items():
            value = getattr(config, other)
            if other in varied or any(
                item in effective_values for item in (value if isinstance(value, tuple) else (value,))
            ):
                continue
            choices = [str(item) for item in effective_values if item is not None]
            sentences.append(
                f"--{setting.name}={as_flag(getattr(config, setting.name))} has no effect with --{other}="
                f"{as_flag(value)}. It is used with --{other}={either(choices)}."
            )
            break
    return sentences


def either(choices: list[str]) -> str:
    """Join alternatives to text such as "half, same or two"."""
    return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))
