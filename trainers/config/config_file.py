"""Reader for JSON files that contain training configurations.

The flag `--config` names such a file.
"""

import json
from pathlib import Path

from ..runs.errors import UserError
from . import schema
from .recipes import DEFAULT_RECIPE, resolve
from .setting import values_from_json


def read_config(path: str | Path) -> schema.Config:
    """Read a training configuration from a JSON file.

    Settings that are not in the file come from its recipe.

    Args:
        path: a JSON file with an object of settings, by itself or under the key "config".

    Raises:
        UserError: the file is missing, is not JSON or holds no object, or a setting in it is unknown or refused.
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
        overrides = values_from_json(schema.settings(), values)
        return resolve(overrides.get("recipe", DEFAULT_RECIPE), overrides)
    except UserError as error:
        raise UserError(f"--config: {path}: {error}") from None
