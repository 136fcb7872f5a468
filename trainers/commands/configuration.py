"""Functions that build a training configuration from command-line flags and from defaults for the data set."""

import argparse
import shlex
from collections.abc import Iterable

from ..config import flags
from ..config.initial_weights import adopt_network
from ..config.recipes import IMAGES_RECIPE
from ..config.schema import Config
from ..config.setting import as_flag

_DRAWN = (
    "dataset",
    "data_dir",
    "classes_file",
    "image_size",
    "color_mode",
    "augment",
    "flip",
    "compose",
)  # what a picture of images shows


def configuration(args: argparse.Namespace, *, quiet: bool = False) -> Config:
    """Build the training configuration from command-line flags, and print the automatically chosen settings.

    Args:
        args: the parsed flags.
        quiet: whether to print nothing.

    Raises:
        UserError: a setting is refused, or the data cannot be found.
    """
    given = flags.given_settings(args)
    config, taken = adopt_network(flags.configuration(args), given)
    if taken and not quiet:
        chosen = " ".join(flag.removeprefix("--") for flag in _as_flags(config, sorted(taken)))
        print(f"network of {config.init_weights}: {chosen}", flush=True)
    config = fit_and_print(config, given | taken, quiet=quiet)
    if config.recipe == IMAGES_RECIPE and not quiet:
        print(f"  Look at the images as the network sees them: {_check_command(config, given | taken)}", flush=True)
    return config


def _check_command(config: Config, given: set[str]) -> str:
    """Return the shell command that saves a preview of the augmented training images.

    The command is `encapnet data check`, with the data and augmentation settings of the training configuration.
    """
    names = [name for name in _DRAWN if name in given | {"dataset"}]
    return shlex.join(["encapnet", "data", "check", *_as_flags(config, names)])


def _as_flags(config: Config, names: Iterable[str]) -> list[str]:
    """Convert training settings to command-line flags, and leave out settings whose value is None."""
    values = {name: getattr(config, name) for name in names}
    return [f"--{name}={as_flag(value)}" for name, value in values.items() if value is not None]


def fit_and_print(config: Config, given: set[str], *, quiet: bool = False) -> Config:
    """Replace unspecified training settings by values that suit the data set, and print these values.

    A configuration whose recipe is not `images` is returned as it is.
    """
    from ..data.sizing import fit_to_data  # imports TensorFlow, which flags alone do not need

    config, text = fit_to_data(config, given)
    if text and not quiet:
        print(text, flush=True)
    return config
