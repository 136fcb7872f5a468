"""Definition of training settings as dataclass fields with a type, bounds and a help text."""

import dataclasses
import numbers
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, get_args

from ..runs.argument_types import check_bounds
from ..runs.errors import UserError
from ..runs.path_arguments import check_path_text
from .suggestions import did_you_mean

_MOST_ITEMS = 1000  # of a list
FEEDBACK_PLACEMENTS = ("half", "same", "two")  # the values of `feedback` with which a network has feedback units


@dataclass(frozen=True)
class Search:
    """Properties of a training setting in hyper-parameter searches, such as the default search range.

    Attributes:
        usual: default range (low, high) or list of values. None means the setting's choices; a setting without choices
            is then searched only over a range that the user gives.
        alias: second name of the setting in `--search`.
        per_module: name of the axis of a setting that is a list with one number per module. The searched number is
            repeated for every module.
        refusal: why the setting cannot be searched, as the end of "... cannot be searched, because".
    """

    usual: tuple | list | None = None
    alias: str | None = None
    per_module: str | None = None
    refusal: str | None = None


def setting(
    help: str,
    default=None,
    *,
    group: str | None = None,
    choices: tuple[str, ...] | None = None,
    least: float | None = None,
    most: float | None = None,
    path: str | None = None,
    network: bool = False,
    unit_argument: str | None = None,
    used_with: dict[str, tuple] | None = None,
    search: Search = Search(),
) -> Any:
    """Define one training setting as a dataclass field with a default value, bounds and a help text.

    The field's annotation, one of `KINDS` or its union with None, says how values are parsed and checked.

    Args:
        help: help text of its flag.
        default: its value where the recipe has none. With None as default, None is allowed.
        group: heading in `--help` of this setting and of those after it, up to the next heading.
        choices: the allowed values.
        least: lower bound.
        most: upper bound. Every setting that is a number has both.
        path: what the path is for, as in `check_path`, of a setting that is a path.
        network: whether it is passed to the network's builder, as the argument of the same name. It is passed unless it
            is None, and choosing another network resets it to None.
        unit_argument: name of the argument of `layers.FeedbackAgreement` that it is passed as. The value "none" is
            passed as None.
        used_with: {other setting: its values for which this setting has an effect}. With `unit_argument`, a value of
            `feedback` other than "none" is required automatically.
        search: how a search may vary it.
    """
    if unit_argument is not None:
        used_with = {"feedback": FEEDBACK_PLACEMENTS, **(used_with or {})}
    metadata = {
        "help": help,
        "group": group,
        "choices": choices,
        "least": least,
        "most": most,
        "path": path,
        "network": network,
        "unit_argument": unit_argument,
        "used_with": used_with or {},
        "search": search,
    }
    return dataclasses.field(default=default, metadata=metadata)


def _switch(text):
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _integers(text):
    return tuple(int(part) for part in text.split(","))


def _words(text):
    return tuple(text.split(","))


@dataclass(frozen=True)
class Kind:
    """Type of a training setting, such as integer or list, with a parser for command-line values of this type.

    Attributes:
        expected: what a value must be, as the end of "... must be".
        metavar: placeholder of a value in `--help`.
        parse: function that reads a flag's text, and raises ValueError if it is malformed.
        item: Python type of a value, or of the items of a list.
        is_list: whether values are lists: tuples in Python, separated by commas in a flag.
    """

    expected: str
    metavar: str
    parse: Callable[[str], object]
    item: type
    is_list: bool = False


KINDS: dict[Any, Kind] = {
    str: Kind("text", "TEXT", str, str),
    bool: Kind("true or false", "true|false", _switch, bool),
    int: Kind("an integer", "N", int, int),
    float: Kind("a number", "X", float, float),
    tuple[int, ...]: Kind("integers separated by commas", "N,...", _integers, int, is_list=True),
    tuple[str, ...]: Kind("words separated by commas", "TEXT,...", _words, str, is_list=True),
}


def kind_of(field: dataclasses.Field) -> Kind:
    """Return the type of a training setting, such as integer or list."""
    if isinstance(field.type, UnionType):
        (annotation,) = (part for part in get_args(field.type) if part is not NoneType)
        return KINDS[annotation]
    return KINDS[field.type]


def as_flag(value) -> str:
    """Format the value of a training setting for its command-line flag, such as "1,2" for a list."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def check(field: dataclasses.Field, value) -> None:
    """Raise `UserError` if a value is not allowed for a training setting.

    Raises:
        UserError: the value is of another kind, none of the choices, or out of bounds.
    """
    if value is None and field.default is None:
        return
    items = value if isinstance(value, tuple) else (value,)
    if len(items) > _MOST_ITEMS:
        raise UserError(f"--{field.name}: expected at most {_MOST_ITEMS} items, received {len(items):,}.")
    for item in items:
        _check_item(field, item)


def _check_item(field, item):
    flag, kind = f"--{field.name}={item}", kind_of(field)
    choices, least, most = (field.metadata[key] for key in ("choices", "least", "most"))
    if kind.item is bool and not isinstance(item, bool):
        raise UserError(f"{flag}: expected true or false.")
    if choices and item not in choices:
        raise UserError(f"{flag}: expected one of {', '.join(choices)}{did_you_mean(str(item), choices)}.")
    if field.metadata["path"] is not None:
        check_path_text(flag, item)
    if kind.item not in (int, float):
        return
    expected = {int: (numbers.Integral, "a whole number"), float: (numbers.Real, "a finite number")}[kind.item]
    if isinstance(item, bool) or not isinstance(item, expected[0]):
        raise UserError(f"{flag}: expected {expected[1]}.")
    check_bounds(flag, item, least, most)


def values_from_json(fields: Iterable[dataclasses.Field], values: dict) -> dict:
    """Convert training settings loaded from JSON to Python values, and reject unknown settings and wrong types.

    Lists become tuples. Bounds and choices are checked by the configuration.

    Args:
        fields: the known settings.
        values: setting -> JSON value, for some or all of the settings.

    Raises:
        UserError: a setting is unknown (the message names the nearest known one) or a value is of the wrong kind.
    """
    fields_by_name = {field.name: field for field in fields}
    if unknown := sorted(set(values) - set(fields_by_name)):
        hint = did_you_mean(unknown[0], fields_by_name)
        raise UserError(f"Unknown settings in the configuration: {', '.join(unknown)}{hint}.")
    return {name: _from_json(fields_by_name[name], value) for name, value in values.items()}


def _from_json(field, value):
    kind = kind_of(field)
    if value is None and field.default is None:
        return None
    for json_type, expected in ((list, "a list"), (str, "text"), (bool, "true or false")):
        if json_type is (list if kind.is_list else kind.item) and not isinstance(value, json_type):
            raise UserError(f"--{field.name}={value}: expected {expected}.")
    return tuple(value) if kind.is_list else value
