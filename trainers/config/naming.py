"""Names of the folders for training runs, searches and exports, derived from a training configuration."""

import re
from pathlib import Path

from .recipes import IMAGES_RECIPE
from .schema import Config


def series_name(config: Config) -> str:
    """Return the name of the results folder: the preset name, or the data set name if the preset is `images`.

    The folder holds training runs, searches or exports. Its name is the recipe's name. The recipe `images` serves many
    data sets, so there it is the name of the folder of images, of the file of arrays or of the data set, in which other
    characters than letters, digits, "_", "." and "-" are replaced by "-".
    """
    if config.recipe != IMAGES_RECIPE:
        return config.recipe
    return file_name(data_name(config)) or IMAGES_RECIPE


def data_name(config: Config) -> str:
    """Return the name under which a data set is shown to the user, such as "photos" for the folder my/photos.

    It is the name of the folder of images, of the file of arrays without its ending, or of the data set.
    """
    if config.data_dir is not None and config.dataset in ("folder", "npz"):
        name = Path(config.data_dir).resolve().name
        return (name.removesuffix(".npz") if config.dataset == "npz" else name) or config.dataset
    return config.dataset


def file_name(name: str) -> str:
    """Convert a data set name, such as "plant_village/small:1.0.0", to a valid file name.

    The file name is empty if no character of the name is allowed.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
