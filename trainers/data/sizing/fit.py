"""Function that fills in unspecified training settings from properties of the data set.

It does so only under the preset `images`.
"""

from collections.abc import Collection
from dataclasses import replace

from ...config.recipes import IMAGES_RECIPE
from ...config.schema import Config
from .choice import choose
from .summary import summarise


def fit_to_data(config: Config, given: Collection[str]) -> tuple[Config, str]:
    """Fill in unspecified training settings with data-dependent defaults, if the training preset is `images`.

    The choice depends on the images and on the given settings only, so that it is the same for the same data on every
    machine. No image is decoded, and TensorFlow's devices are not touched, so it can be done before a strategy is made.

    Args:
        config: the configuration, as `resolve` returns it.
        given: names of the settings that the user gave, which stay as they are.

    Returns:
        The configuration, in which every setting has its final value, and lines of text for the user that say what was
        chosen and why. With any other recipe: the configuration itself and an empty text.

    Raises:
        UserError: the data cannot be found, or a chosen and a given setting do not go together.
    """
    if config.recipe != IMAGES_RECIPE:
        return config, ""
    summary = summarise(config)
    if config.compose != "none":
        given = {*given, "augment", "flip"}  # composed examples are augmented only if the user says so
    choice = choose(summary, config, given)
    return replace(config, **choice.settings), choice.text(summary)
