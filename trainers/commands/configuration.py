"""Training configuration of a command, with settings chosen for the data where the recipe leaves them open."""

import argparse

from ..config import flags
from ..config.schema import Config


def configuration(args: argparse.Namespace, *, quiet: bool = False) -> Config:
    """Build the training configuration from parsed command-line flags, and print what was chosen for the data.

    Args:
        args: the parsed flags.
        quiet: whether to print nothing.

    Raises:
        UserError: a setting is refused, or the data cannot be found.
    """
    return fit_and_print(flags.configuration(args), flags.given_settings(args), quiet=quiet)


def fit_and_print(config: Config, given: set[str], *, quiet: bool = False) -> Config:
    """Return a training configuration with the settings that were not given chosen for the data, and print them.

    A configuration whose recipe is not `images` is returned as it is.
    """
    from ..data.sizing import fit_to_data  # imports TensorFlow, which flags alone do not need

    config, text = fit_to_data(config, given)
    if text and not quiet:
        print(text, flush=True)
    return config
