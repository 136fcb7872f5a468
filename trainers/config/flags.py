"""Command-line flags for the training configuration, with one flag for each setting."""

import argparse
from collections.abc import Collection

from ..runs.errors import UserError
from .config_file import read_config, read_settings
from .recipes import DEFAULT_RECIPE, IMAGES_RECIPE, RECIPES, default_recipe, override, resolve
from .schema import Config, settings
from .setting import Kind, kind_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add flags for a training preset (`--recipe`) and a configuration file (`--config`) to an argument parser."""
    parser.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help=f"Starting point that the other flags override [{DEFAULT_RECIPE}; with --dataset=folder or a name of "
        f"TensorFlow Datasets {IMAGES_RECIPE}, which is sized to the images].",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="Start from the settings in this JSON file instead: a run's config.json, a search's best.json, or a file "
        "with some settings by name.",
    )


def add_flags(parser: argparse.ArgumentParser, skip: Collection[str] = ()) -> None:
    """Add one command-line flag for each training setting to an argument parser.

    The settings in `skip` get no flag. The value of an absent flag is None.
    """
    for setting in settings():
        if setting.name in skip:
            continue
        help = setting.metadata["help"]
        if choices := setting.metadata["choices"]:
            help += f" One of: {', '.join(choices)}."
        parser.add_argument(f"--{setting.name}", type=_parser(kind_of(setting)), default=None, metavar="...", help=help)


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
    """Return the names of the training settings that command-line flags or the `--config` file specify."""
    return set(flag_values(args)) | set(read_settings(args.config) if args.config is not None else ())


def recipe_and_settings(args: argparse.Namespace) -> tuple[str | None, dict]:
    """Return the name of the preset (recipe) and the training settings, read from flags or a configuration file.

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


def _parser(kind: Kind):
    def parse(text):
        return kind.parse(text)

    parse.__name__ = kind.name  # argparse quotes it: "invalid whole number value"
    return parse
