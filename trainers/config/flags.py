"""Where a run's configuration comes from: a recipe or a file (`--config`), and the flags that override it."""

import json
from pathlib import Path

from ..runs.errors import UserError
from . import schema
from .recipes import RECIPES, override, resolve
from .schema import Config, settings, settings_from_json

DEFAULT_RECIPE = "digits"


def add_arguments(parser):
    """Adds --recipe and --config to an argparse parser."""
    parser.add_argument(
        "--recipe", choices=tuple(RECIPES), help=f"Starting point that the other flags override [{DEFAULT_RECIPE}]."
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="Start from the settings of this JSON file instead: a run's config.json, a search's best.json, or only "
        "its settings by name.",
    )


def configuration(args) -> Config:
    """The configuration that parsed flags ask for.

    Raises:
        UserError: the file or a value is refused, or both a recipe and a file are given.
    """
    if args.config is None:
        return resolve(args.recipe or DEFAULT_RECIPE, given_flags(args))
    if args.recipe is not None:
        raise UserError("--config names its own recipe. Give --recipe or --config, not both.")
    return override(read_config(args.config), given_flags(args))


def asked_for(args) -> tuple[str | None, dict]:
    """The recipe that parsed flags name, None where they name none, and the settings they give; a file gives all."""
    if args.config is None:
        return args.recipe, given_flags(args)
    values = dict(configuration(args).__dict__)
    return values.pop("recipe"), values


def given_flags(args) -> dict:
    """Setting -> value of the flags that were given."""
    values = {setting.name: getattr(args, setting.name, None) for setting in settings() if setting.name != "recipe"}
    return {name: value for name, value in values.items() if value is not None}


def read_config(path) -> Config:
    """Reads a configuration from a JSON file. Settings that it does not name are its recipe's.

    Args:
        path: a run's config.json, or only the object under its "config".

    Raises:
        UserError: the file is missing, no JSON, no object, or a setting in it is unknown or refused.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"--config: there is no file {path}.") from None
    except OSError as error:
        raise UserError(f"--config: {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UserError(f"--config: {path} is not JSON, or was cut off: {error}.") from None
    if isinstance(values, dict) and "config" in values:
        values = values["config"]
    if not isinstance(values, dict):
        raise UserError(
            f"--config: {path} has no settings. Expected an object of settings by name, or one under "
            f'"config". Found {type(values).__name__}.'
        )
    try:
        found = settings_from_json(values)
        return resolve(found.get("recipe", DEFAULT_RECIPE), found)
    except UserError as error:
        raise UserError(f"--config: {path}: {error}") from None


def add_flags(parser, skip=()):
    """Adds one flag per setting to an argparse parser; a flag that is not given stays None."""
    for setting in settings():
        if setting.name in skip:
            continue
        help = setting.metadata["help"]
        if choices := setting.metadata["choices"]:
            help += f" One of: {', '.join(choices)}."
        parser.add_argument(
            f"--{setting.name}", type=_parser(setting.metadata["parse"]), default=None, metavar="...", help=help
        )


def _parser(parse):
    kinds = {
        int: "whole number",
        float: "number",
        schema._integers: "list of whole numbers",
        schema._switch: "switch (true or false)",
    }

    def parsed(text):
        return parse(text)

    parsed.__name__ = kinds.get(parse, "text")  # what argparse calls it: "invalid whole number value"
    return parsed
