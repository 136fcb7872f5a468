"""Random command lines with exactly one mistake, made from the flags that the parser has."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from encapnet_tf.trainers.config.schema import Config, settings
from encapnet_tf.trainers.config.setting import kind_of

NO_NUMBERS = [
    "nan",
    "inf",
    "-inf",
    "1e999",
    "abc",
    "0x10",
    "1_",
    "9" * 400,
    "9" * 5000,
    "-1e30",
    "--",
    "",
    " ",
    "½",
    "1;2",
]
NO_PATHS = ["", " ", "a" * 300, "a/" * 2500, "a\nb", "\x1b[2J", "a\udcffb", "/dev/zero", "/dev/null/x", "\x7f"]
NO_WORDS = ["x", "none ", "NONE", "\x1b[31m", "a" * 500, ",", "--", "", "digits;ls", "ä"]
# Verb -> arguments without which it refuses every command line; the file and the folders need not exist.
SKELETONS = {
    "train": [],
    "tune": [],
    "ablate": [],
    "data check": [],
    "evaluate": ["run"],
    "report": ["run"],
    "runs": ["run"],
    "export": ["run"],
    "predict": ["run", "image.png"],
    "explain": ["run", "image.png"],
}
NUMBERS = {
    "tune": ["trials", "grid_points", "workers", "silent_minutes", "retrain", "retrain_epochs"],
    "ablate": ["seeds"],
    "evaluate": ["images", "crops"],
    "export": ["images"],
    "predict": ["timeout"],
    "explain": ["limit"],
}
PATHS = {
    "train": ["run_dir", "resume", "continue_from", "config", "init_weights"],
    "tune": ["out", "config"],
    "ablate": ["out", "results"],
    "data check": ["out"],
    "report": ["out"],
    "export": ["out"],
    "predict": ["labels"],
    "explain": ["labels", "out"],
}
SETTINGS = [setting for setting in settings() if setting.name != "recipe"]
SETTING_VERBS = {"train": set(), "tune": set(), "ablate": {"model", "seed", "init_weights"}}


def wrong_command_lines(seed: int, count: int) -> Iterator[list[str]]:
    """Yield command lines that must be refused, the same for one seed."""
    rng = random.Random(seed)
    for _ in range(count):
        verb = rng.choice(list(SKELETONS))
        words = [*verb.split(), *SKELETONS[verb]]
        mistake = rng.choice(_MISTAKES)(rng, verb)
        position = rng.randint(len(verb.split()), len(words))
        yield [*words[:position], *mistake, *words[position:]]


def wrong_settings(seed: int, count: int) -> Iterator[str]:
    """Yield texts of configuration files that must be refused, the same for one seed."""
    rng = random.Random(seed)
    good = Config().to_json()
    for _ in range(count):
        values = {name: good[name] for name in rng.sample(sorted(good), rng.randint(0, 6))}
        setting = rng.choice(SETTINGS)
        values[setting.name] = rng.choice(_values_of_another_kind(setting))
        text = json.dumps(rng.choice([values, {"config": values}]))
        kind = rng.randrange(8)
        if kind == 0:
            text = text[: rng.randrange(len(text) - 1)]
        elif kind == 1:
            text = rng.choice(["[" * 5000, "3", "null", "[]", '"text"', "{" * 9, "\udcff", "\0", '{"config": 3}'])
        yield text


def write_settings(path: Path, text: str) -> None:
    """Write the text of a configuration file, with lone surrogates as bytes that are not UTF-8."""
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def _values_of_another_kind(setting) -> list:
    kind = kind_of(setting)
    if kind.is_list:
        return ["text", 3, True, {"a": 1}, [[]], [{}], [None], [True if kind.item is int else 3]]
    if kind.item is bool:
        return ["true", 3, [], {}, "x"]
    if kind.item is str:
        return [3, True, [], {}, ["x"], 0.5]
    return ["x", [], {}, True, [3], float("nan"), float("inf"), 10**400, -(10**30)]


def _number(rng, verb):
    names = [setting.name for setting in SETTINGS if kind_of(setting).item in (int, float)]
    own = NUMBERS.get(verb, [])
    if verb in SETTING_VERBS and (not own or rng.random() < 0.7):
        return [f"--{rng.choice([name for name in names if name not in SETTING_VERBS[verb]])}={rng.choice(NO_NUMBERS)}"]
    return [f"--{rng.choice(own)}={rng.choice(NO_NUMBERS)}"] if own else _unknown(rng, verb)


def _path(rng, verb):
    if verb not in PATHS:
        return _unknown(rng, verb)
    # A folder to create may bear any name that is not too long, and a device is a file to write to.
    return [f"--{rng.choice(PATHS[verb])}={rng.choice([path for path in NO_PATHS if path != '/dev/zero'])}"]


def _choice(rng, verb):
    with_choices = [setting for setting in SETTINGS if setting.metadata["choices"]]
    if verb not in SETTING_VERBS:
        return _unknown(rng, verb)
    setting = rng.choice([setting for setting in with_choices if setting.name not in SETTING_VERBS[verb]])
    return [f"--{setting.name}={rng.choice(NO_WORDS)}"]


def _unknown(rng, verb):
    letters = "".join(rng.choice("abcdefgij_-\x1b\n=é") for _ in range(rng.randint(1, 12)))
    return [rng.choice([f"--q{letters}", f"-{letters}x", "", " ", "--=", "---", f"--q{letters}=3"])]


_MISTAKES = (_number, _path, _choice, _unknown)
