"""Creation of training configurations from command-line flags and from defaults that suit the data set."""

import argparse
import shlex

from ..config import flags
from ..config.recipes import IMAGES_RECIPE
from ..config.schema import Config

_DRAWN = (
    "dataset",
    "data_dir",
    "classes_file",
    "image_size",
    "augment",
    "flip",
    "compose",
)  # what a picture of images shows


def configuration(args: argparse.Namespace, *, quiet: bool = False) -> Config:
    """Build the training configuration from command-line flags, and print the settings chosen to suit the data set.

    Args:
        args: the parsed flags.
        quiet: whether to print nothing.

    Raises:
        UserError: a setting is refused, or the data cannot be found.
    """
    given = flags.given_settings(args)
    config = fit_and_print(flags.configuration(args), given, quiet=quiet)
    if config.recipe == IMAGES_RECIPE and not quiet:
        print(f"  Look at the images as the network sees them: {_check_command(config, given)}", flush=True)
    return config


def _check_command(config: Config, given: set[str]) -> str:
    """Return the shell command that saves a preview of the augmented training images.

    The command is `encapnet data check`, with the data and augmentation settings of the training configuration.
    """
    values = {name: getattr(config, name) for name in _DRAWN if name in given | {"dataset"}}
    words = [
        f"--{name}={','.join(value) if isinstance(value, tuple) else value}"
        for name, value in values.items()
        if value is not None
    ]
    return shlex.join(["encapnet", "data", "check", *words])


def fit_and_print(config: Config, given: set[str], *, quiet: bool = False) -> Config:
    """Replace unspecified training settings by values that suit the data set, and print these values.

    A configuration whose recipe is not `images` is returned as it is.
    """
    from ..data.sizing import fit_to_data  # imports TensorFlow, which flags alone do not need

    config, text = fit_to_data(config, given)
    if text and not quiet:
        print(text, flush=True)
    return config
