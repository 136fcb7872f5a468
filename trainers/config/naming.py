"""Names of the folders for training runs, searches and exports, derived from a training configuration."""

import re
from pathlib import Path

from .recipes import IMAGES_RECIPE
from .schema import Config


def series_name(config: Config) -> str:
    """Return the folder name for the training runs, searches and exports of a configuration, such as "digits".

    It is the recipe's name. The recipe `images` serves many data sets, so there it is the name of the folder of images,
    of the file of arrays or of the data set, in which other characters than letters, digits, "_", "." and "-" are
    replaced by "-".
    """
    if config.recipe != IMAGES_RECIPE:
        return config.recipe
    return re.sub(r"[^A-Za-z0-9._-]+", "-", data_name(config)).strip("-.") or IMAGES_RECIPE


def data_name(config: Config) -> str:
    """Return the name of a configuration's data set, such as "cifar10", or "photos" for the images in /home/me/photos.

    For images of the user's own, it is the name of the folder or the file.
    """
    if config.dataset in ("folder", "npz") and config.data_dir is not None:
        name = Path(config.data_dir).resolve().name
        return (name.removesuffix(".npz") if config.dataset == "npz" else name) or IMAGES_RECIPE
    return config.dataset
