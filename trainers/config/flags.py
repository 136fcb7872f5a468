"""Command-line flags for the training configuration, with one flag for each setting."""

import argparse
import dataclasses
from collections.abc import Collection, Iterable

from ..runs.argument_types import path_type
from ..runs.errors import UserError
from ..runs.path_arguments import FILE, check_path
from .config_file import read_config, read_settings
from .recipes import DEFAULT_RECIPE, IMAGES_RECIPE, RECIPES, default_recipe, override, resolve
from .schema import Config, settings
from .setting import check, kind_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add flags for a training preset (`--recipe`) and a configuration file (`--config`) to an argument parser."""
    recipe_help = (
        f"Starting point that the other flags override [{DEFAULT_RECIPE}; with --dataset=fashion_mnist that of the "
        f"same name; with any other data set {IMAGES_RECIPE}, which is sized to the images]."
    )
    add_choice(parser, "--recipe", RECIPES, help=recipe_help)
    parser.add_argument(
        "--config",
        type=path_type("--config", FILE),
        metavar="FILE",
        help="Start from the settings in this JSON file instead: a run's config.json, a search's best.json, or a file "
        "with some settings by name.",
    )


def add_choice(
    parser: argparse.ArgumentParser, flag: str, choices: Iterable[str], *, help: str, default: str | None = None
) -> None:
    """Add a flag with a fixed list of allowed values to an argument parser."""
    names = tuple(choices)
    help = f"{help} One of: {', '.join(names)}."
    parser.add_argument(flag, choices=names, default=default, metavar="NAME", help=help)


def add_flags(parser: argparse.ArgumentParser, skip: Collection[str] = ()) -> None:
    """Add one command-line flag for each training setting to an argument parser.

    The settings in `skip` get no flag. The value of an absent flag is None.
    """
    groups: dict[str | None, argparse._ActionsContainer] = {None: parser}
    heading = None
    for setting in settings():
        heading = setting.metadata["group"] or heading
        if setting.name in skip:
            continue
        if heading not in groups:
            groups[heading] = parser.add_argument_group(heading)
        help, metavar = setting.metadata["help"], kind_of(setting).metavar
        if choices := setting.metadata["choices"]:
            help += f" One of: {', '.join(choices)}."
        groups[heading].add_argument(f"--{setting.name}", type=_reader(setting), metavar=metavar, help=help)


def configuration(args: argparse.Namespace) -> Config:
    """Build the training configuration from parsed command-line flags, which override a named preset or a JSON file.

    Raises:
        UserError: the file or a value is refused, or both a recipe and a file are named.
    """
    if args.config is None:
        return resolve(args.recipe or default_recipe(args.dataset), flag_values(args))
    if args.recipe is not None:
        raise UserError("--config names its own recipe. Give --recipe or --config, not both.")
    return override(read_config(args.config, args.dataset), flag_values(args))


def given_settings(args: argparse.Namespace) -> set[str]:
    """Return the names of the training settings that were set by command-line flags or by the `--config` file."""
    return set(flag_values(args)) | set(read_settings(args.config) if args.config is not None else ())


def recipe_and_settings(args: argparse.Namespace) -> tuple[str | None, dict]:
    """Return the name of the training preset (recipe), and the settings that the user specified.

    The preset name is None if no flag gives one. A configuration file names the preset and all settings, except one
    with the recipe `images`, which leaves some to the data.
    """
    if args.config is None:
        return args.recipe, flag_values(args)
    values = dict(configuration(args).__dict__)
    recipe = values.pop("recipe")
    if recipe == IMAGES_RECIPE:
        values = {name: values[name] for name in given_settings(args) - {"recipe"}}
    return recipe, values


def flag_values(args: argparse.Namespace) -> dict:
    """Return the training settings given by command-line flags, as a dictionary."""
    values = {setting.name: getattr(args, setting.name, None) for setting in settings() if setting.name != "recipe"}
    return {name: value for name, value in values.items() if value is not None}


def _reader(setting: dataclasses.Field):
    """Return a function that converts the text of a command-line flag to a valid value of a training setting.

    The function raises `UserError` for any other text.
    """

    def read(text):
        kind = kind_of(setting)
        try:
            value = kind.parse(text)
        except ValueError:
            raise UserError(f"--{setting.name}={text}: must be {kind.expected}.") from None
        if setting.metadata["path"] is not None:
            check_path(f"--{setting.name}", text, setting.metadata["path"])
        check(setting, value)
        return value

    return read
