"""Reading of JSON files with checks of their syntax and of the types of their values.

`TYPES` says which values each file of a run, a search or an export has, wherever it is read.
"""

import json
import math
from collections.abc import Callable
from typing import Any

MOST_CHARACTERS = 1 << 28  # of a JSON file: larger ones are not ours


def parse_json(text: str) -> Any:
    """Parse JSON, and raise ValueError for malformed, too large or too deeply nested text."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters, more than any file of this package")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its lists and objects are nested too deeply") from None


def parse_json_lines(text: str) -> list[dict]:
    """Parse JSON Lines of objects, and raise ValueError for a line that is not a JSON object."""
    rows = [parse_json(line) for line in text.splitlines()]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is {_kind(row)} and not an object")
    return rows


def type_error(file: str, values: dict) -> str | None:
    """Return a description of the first value of a JSON object that has a wrong type, or None if there is none.

    Args:
        file: name of the file, without folder. Files that `TYPES` does not have are not checked.
        values: the object. Keys that `TYPES` does not have are not checked, and none is required.
    """
    for key, (fits, expected) in TYPES.get(file, {}).items():
        if key in values and not fits(values[key]):
            return f"{key} must be {expected}, and is {_kind(values[key])}"
    return None


def _kind(value) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value)) or str(value)


def _is_number(value) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _is_number_or_nan(value) -> bool:  # of a run whose loss became NaN
    return _is_number(value) or (isinstance(value, float) and not math.isfinite(value))


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_texts(value) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_objects(value) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_sizes(value) -> bool:
    return isinstance(value, list) and all(_is_count(item) for item in value)


def _or_null(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


_Type = tuple[Callable[[Any], bool], str]
_NUMBER: _Type = (_is_number, "a finite number")
_LOGGED: _Type = (_is_number_or_nan, "a number")
_SCORE: _Type = (_or_null(_is_number_or_nan), "a number or null")
_COUNT: _Type = (_is_count, "a whole number")
_TEXT: _Type = (lambda value: isinstance(value, str), "text")
_OBJECT: _Type = (lambda value: isinstance(value, dict), "an object")
_ROWS: _Type = (_is_objects, "a list of objects")
_TEXTS: _Type = (_is_texts, "a list of texts")
_SIZES: _Type = (_or_null(_is_sizes), "a list of whole numbers")

# File -> key -> test of the value, and what it must be.
TYPES: dict[str, dict[str, _Type]] = {
    "config.json": {
        "config": _OBJECT,
        "working_directory": _TEXT,
        "command": _TEXT,
        "continued_from": (_or_null(_OBJECT[0]), "an object or null"),
    },
    "summary.json": {
        **dict.fromkeys(("test_accuracy", "validation_accuracy", "train_seconds"), _NUMBER),
        **dict.fromkeys(
            ("test_errors", "test_images", "validation_images", "train_images", "epochs", "best_epoch", "parameters"),
            _COUNT,
        ),
        "class_names": _TEXTS,
        "recipe": _TEXT,
        "data_name": _TEXT,
        "stored_shape": _SIZES,
        "single_size": _SIZES,
    },
    "metrics.jsonl": {
        "epoch": _COUNT,
        **dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy", "seconds"), _LOGGED),
    },
    "agreement.jsonl": {"epoch": _COUNT},
    "failed.json": {"reason": _TEXT},
    "same.json": {"run": _TEXT},
    "search.json": {
        "config": _OBJECT,
        "space": _OBJECT,
        "tuner": _TEXT,
        "objective": _TEXT,
        "trials": (_or_null(_is_count), "a whole number or null"),
        "grid_points": _COUNT,
        "full_epochs": (_or_null(_is_count), "a whole number or null"),
    },
    "record.json": {
        "trial": _TEXT,
        "status": _TEXT,
        "settings": _OBJECT,
        "epochs": _COUNT,
        **dict.fromkeys(("validation_accuracy", "validation_loss", "seconds"), _LOGGED),
    },
    "trial.json": {"trial_id": _TEXT, "hyperparameters": _OBJECT, "metrics": _OBJECT, "score": _SCORE, "status": _TEXT},
    "oracle.json": {"start_order": _TEXTS, "end_order": _TEXTS, "hyperparameters": _OBJECT, "values": _OBJECT},
    "parity.json": {"rows": _ROWS, "images": _COUNT},
    "metadata.json": {"image": _OBJECT, "class_names": _TEXTS, "about": _OBJECT},
}
