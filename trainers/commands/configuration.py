"""Training configuration from command-line flags, with settings chosen to suit the data set."""

import argparse

from ..config import flags
from ..config.schema import Config


def configuration(args: argparse.Namespace, *, quiet: bool = False) -> Config:
    """Build the training configuration from command-line flags, and print the settings chosen to suit the data set.

    Args:
        args: the parsed flags.
        quiet: whether to print nothing.

    Raises:
        UserError: a setting is refused, or the data cannot be found.
    """
    return fit_and_print(flags.configuration(args), flags.given_settings(args), quiet=quiet)


def fit_and_print(config: Config, given: set[str], *, quiet: bool = False) -> Config:
    """Replace unspecified training settings by values that suit the data set, and print these values.

    A configuration whose recipe is not `images` is returned as it is.
    """
    from ..data.sizing import fit_to_data  # imports TensorFlow, which flags alone do not need

    config, text = fit_to_data(config, given)
    if text and not quiet:
        print(text, flush=True)
    return config
