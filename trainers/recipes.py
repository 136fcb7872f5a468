"""Recipes: named starting points. A flag given on the command line overrides the recipe's setting."""

from dataclasses import dataclass

from .config import NETWORK_SETTINGS, Config
from .errors import UserError


@dataclass(frozen=True)
class Recipe:
    """A configuration and what to expect of it (command, hardware, time, result)."""

    config: Config
    about: str


RECIPES = {
    "digits": Recipe(
        Config(
            recipe="digits",
            dataset="digits",
            augment="affine",
            num_capsules=16,
            depths=(1, 1),
            capsule_dims=(2, 4),
            strides=(1, 2),
            learning_rate=3e-3,
            epochs=40,
            batch_size=64,
        ),
        "`encapnet train`: scikit-learn's 8x8 digits, no download. 2 CPU cores: about a minute, 99.7 to 100 % on the "
        "360 test images (results/README.md).",
    ),
    "fashion_mnist": Recipe(
        Config(
            recipe="fashion_mnist",
            dataset="fashion_mnist",
            num_capsules=8,
            depths=(1, 1, 1),
            capsule_dims=(4, 8, 8),
            strides=(2, 2, 1),
            learning_rate=3e-3,
            epochs=3,
            batch_size=128,
        ),
        "`encapnet train --recipe=fashion_mnist`: Fashion-MNIST from its IDX files. 2 CPU cores: 3 epochs in about 6 "
        "minutes, 90.3 % on the 10,000 test images (results/README.md).",
    ),
}


def resolve(recipe: str, overrides: dict) -> Config:
    """The configuration of a recipe with some settings overridden.

    Choosing another network drops the recipe's settings of its own network.

    Args:
        recipe: name of a recipe.
        overrides: setting -> value.

    Raises:
        UserError: the recipe is unknown or a value is refused.
    """
    if recipe not in RECIPES:
        raise UserError(f"Unknown recipe {recipe!r}: expected one of {', '.join(RECIPES)}.")
    base = RECIPES[recipe].config
    values = dict(base.__dict__)
    if overrides.get("model", base.model) != base.model:
        values.update(dict.fromkeys(NETWORK_SETTINGS))
    return Config(**{**values, **overrides})
