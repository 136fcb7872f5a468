"""Names of the folders in which the results of a training configuration lie."""

import re
from pathlib import Path

from .recipes import IMAGES_RECIPE
from .schema import Config


def series_name(config: Config) -> str:
    """Return the name for a configuration's runs, searches and exports, such as "digits".

    It is the recipe's name. The recipe `images` serves many data sets, so there it is the name of the folder of images
    or of the data set, in which other characters than letters, digits, "_", "." and "-" are replaced by "-".
    """
    if config.recipe != IMAGES_RECIPE:
        return config.recipe
    name = config.dataset
    if name == "folder" and config.data_dir is not None:
        name = Path(config.data_dir).resolve().name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or IMAGES_RECIPE
