"""Reader for JSON files that contain training configurations.

The flag `--config` names such a file.
"""

from pathlib import Path

from ..runs.errors import UserError
from ..runs.json_files import parse_json
from ..runs.text_files import read_text
from . import schema
from .recipes import default_recipe, resolve
from .setting import values_from_json


def read_config(path: str | Path, dataset: str | None = None) -> schema.Config:
    """Read a training configuration from a JSON file, with default values for settings missing in the file.

    Settings that are not in the file come from its recipe.

    Args:
        path: a JSON file with an object of settings, by itself or under the key "config".
        dataset: the data set that the user named outside the file, which decides the recipe if the file names none.

    Raises:
        UserError: the file is missing, is not JSON or holds no object, or a setting in it is unknown or refused.
    """
    overrides = read_settings(path)
    try:
        return resolve(overrides.get("recipe") or default_recipe(dataset or overrides.get("dataset")), overrides)
    except UserError as error:
        raise UserError(f"--config: {path}: {error}") from None


def read_settings(path: str | Path) -> dict:
    """Read the training settings in a JSON file as a dictionary, without adding defaults.

    Args:
        path: as for `read_config`.

    Raises:
        UserError: as from `read_config`; bounds and choices are not checked.
    """
    try:
        values = parse_json(read_text(path))
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
        return values_from_json(schema.settings(), values)
    except UserError as error:
        raise UserError(f"--config: {path}: {error}") from None
