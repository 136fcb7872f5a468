"""Predefined training configurations (recipes), and functions that replace settings in a configuration."""

from dataclasses import dataclass, replace

from ..runs.errors import UserError
from .dataset_names import canonical_dataset_name
from .schema import AUGMENT_BASES, Config, network_settings, settings
from .setting import check
from .suggestions import did_you_mean

DEFAULT_RECIPE = "digits"
IMAGES_RECIPE = "images"  # for images of unknown kind; the room `data.sizing` chooses its settings
_SIZED_FOR_A_CPU = ("digits", "fashion_mnist")  # data sets whose own recipe is for any machine


@dataclass(frozen=True)
class Recipe:
    """Training preset (recipe) with a configuration and a description of the expected training time and accuracy.

    Attributes:
        config: the configuration.
        about: its command, and the hardware, time and result to expect.
    """

    config: Config
    about: str


# The paper's settings (section 5): EncapNet-18 with both skips, coefficients from both branches and two feedback units
# in each module; Adam with L2 in the gradient; the learning rate divided by 10 after 200, 300 and 400 epochs. The
# initial biases from N(0, 1) are the release's.
_PAPER = Config(
    model="encapnet18",
    routing=("master_aide",),
    coefficients=("both",),
    skip="both",
    bias_stddev=1.0,
    feedback="two",
    feedback_weight=10.0,
    loss="margin",
    optimizer="adam",
    learning_rate=1e-4,
    schedule="step",
    milestones=(200, 300, 400),
    l2=5e-4,
    epochs=600,
    batch_size=128,
)
_NOT_RUN = "Not run to its end here: 600 epochs of the full network need a GPU."


def _paper(recipe, dataset, augment, about, **settings) -> Recipe:
    config = replace(_PAPER, recipe=recipe, dataset=dataset, augment=(augment,), **settings)
    return Recipe(config, f"`encapnet train --recipe={recipe}`: {about} {_NOT_RUN}")


def _published(recipe, dataset, model, result, **settings) -> Recipe:
    """Return a training preset (recipe) for a capsule network from a paper other than the EncapNet paper.

    Such a recipe trains with Adam on MNIST, or with SGD and the cross-entropy loss on CIFAR-10.
    """
    config = Config(
        recipe=recipe,
        dataset=dataset,
        model=model,
        augment=("affine",),
        optimizer="adam",
        schedule="exponential",
        l2=0.0,
    )
    if dataset == "cifar10":
        config = replace(
            config, augment=("+",), optimizer="sgd", loss="crossentropy", schedule="step", milestones=(150, 250)
        )
    about = f"`encapnet train --recipe={recipe}`: close to the settings of the network's authors; {result}"
    return Recipe(replace(config, **settings), f"{about} Not run to its end here: it needs a GPU.")


RECIPES = {
    "digits": Recipe(
        Config(
            recipe="digits",
            dataset="digits",
            augment=("affine",),
            num_capsules=16,
            depths=(1, 1),
            capsule_dims=(2, 4),
            strides=(1, 2),
            learning_rate=3e-3,
            epochs=40,
            batch_size=64,
        ),
        "`encapnet train`: scikit-learn's 8x8 digits, no download. 2 CPU cores: about a minute, 99.2 to 100 % "
        "on the 360 test images (results/README.md).",
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
        "`encapnet train --recipe=fashion_mnist`: Fashion-MNIST from its IDX files, sized for a CPU; the paper has no "
        "such experiment. 2 CPU cores: 3 epochs in about 6 minutes, 90.3 % on the 10,000 test images "
        "(results/README.md).",
    ),
    # Several settings are only placeholders until they are chosen for the data. `epochs` is the most that are chosen,
    # so that settings which count epochs are accepted before that.
    IMAGES_RECIPE: Recipe(
        Config(
            recipe=IMAGES_RECIPE,
            dataset="folder",
            augment=("affine",),
            flip="no",
            num_capsules=16,
            depths=(1, 1, 1, 1),
            capsule_dims=(2, 4, 8, 16),
            strides=(1, 2, 2, 2),
            routing=("master",),
            learning_rate=3e-3,
            epochs=120,
            batch_size=64,
        ),
        "`encapnet train --dataset=folder --data_dir=FOLDER`: images of your own, in folders or in a file "
        "(--dataset=npz), or a public data set by its name. Image size, batch, epochs, learning rate, network and "
        "augmentation are chosen for the number and size of the images and printed. 2 CPU cores: examples "
        "with times in results/own_images.md.",
    ),
    "mnist": _paper("mnist", "mnist", "none", "MNIST."),
    "cifar10": _paper("cifar10", "cifar10", "none", "CIFAR-10 without augmentation; the paper has 95.45 %."),
    "cifar10_plus": _paper(
        "cifar10_plus", "cifar10", "+", 'CIFAR-10 with the paper\'s "+" augmentation; the paper has 96.87 %.'
    ),
    "cifar10_plusplus": _paper(
        "cifar10_plusplus", "cifar10", "++", 'CIFAR-10 with the paper\'s "++" augmentation; the paper has 96.90 %.'
    ),
    "cifar100": _paper("cifar100", "cifar100", "+", 'CIFAR-100 with "+" augmentation; the paper has 75.99 %.'),
    "svhn": _paper(
        "svhn", "svhn_cropped", "+", 'SVHN, cropped digits, with "+" augmentation but no flips; the paper has 98.36 %.'
    ),
    "h_imagenet": _paper(
        "h_imagenet",
        "h_imagenet",
        "++",
        "h-ImageNet, the folder that `encapnet data h_imagenet` builds, given by --data_dir; 8 GPUs and 2.9 days in "
        "the paper, which has 51.77 % top-1 with this network (v1) and no augmentation, and 59.95 % with "
        "--model=encapnet101 --image_size=224 (v3++).",
        image_size=128,
        batch_size=256,
    ),
    "imagenet": _paper(
        "imagenet",
        "imagenet2012",
        "++",
        "ILSVRC 2012 from TFDS; the paper has 92.49 % top-5 and calls it preliminary.",
        image_size=224,
        batch_size=256,
    ),
    "mnist_sabourcapsnet": _published(
        "mnist_sabourcapsnet",
        "mnist",
        "sabourcapsnet",
        "Sabour et al. have 0.25 % error with their decoder, 0.35 % without.",
        learning_rate=1e-3,
        epochs=50,
        batch_size=100,
        epoch_decay=0.9,
    ),
    "mnist_efficientcapsnet": _published(
        "mnist_efficientcapsnet",
        "mnist",
        "efficientcapsnet",
        "published: 99.74 % with a decoder and a learning rate of at least 5e-5.",
        learning_rate=5e-4,
        epochs=150,
        batch_size=16,
        epoch_decay=0.97,
    ),
    "cifar10_invertedattention": _published(
        "cifar10_invertedattention",
        "cifar10",
        "invertedattentioncapsnet",
        "published accuracy: 94.85 %.",
        learning_rate=0.1,
        epochs=350,
        batch_size=128,
        l2=5e-4,
    ),
    "cifar10_selfrouting": _published(
        "cifar10_selfrouting",
        "cifar10",
        "selfroutingcapsnet",
        "published error: 8.17 %.",
        learning_rate=0.1,
        epochs=350,
        batch_size=64,
        l2=1e-4,
    ),
    "cifar10_modern": Recipe(
        replace(
            _PAPER,
            recipe="cifar10_modern",
            dataset="cifar10",
            augment=("+", "randaugment", "erasing"),
            bias_stddev=0.0,
            feedback="none",
            optimizer="adamw",
            learning_rate=2e-3,
            schedule="cosine",
            l2=0.0,
            weight_decay=0.05,
            ema=0.999,
            epochs=100,
        ),
        "`encapnet train --recipe=cifar10_modern`: modern training that needs fewer epochs than the paper's: AdamW, a "
        "warm-up and a cosine, averaged weights, RandAugment, no feedback units. The same flags work with any recipe. "
        "Not run to its end here: it needs a GPU.",
    ),
}


# Settings that another network brings with it, unless they are given too.
_OF_NETWORKS: dict[str, dict] = {
    "invertedattentioncapsnet": {"loss": "crossentropy", "bias_stddev": 0.0},  # scores are probabilities, no biases
    "selfroutingcapsnet": {"loss": "crossentropy", "bias_stddev": 0.0},
}
# Networks without padding, whose kernels need larger images than the digits of 8 x 8 pixels.
_FOR_28_PIXELS = ("sabourcapsnet", "efficientcapsnet", "invertedattentioncapsnet")


def _settings_with_network(base: Config, overrides: dict) -> dict:
    """Return a network's default loss and image size, for a configuration that is switched to this network.

    A value is left out if the base configuration has another one than the default of its own network.
    `bias_stddev` goes with the loss. The image size depends on the network for the digits only.
    """
    model, digits = overrides["model"], overrides.get("dataset", base.dataset) == "digits"
    settings = {}
    if base.loss == _OF_NETWORKS.get(base.model, {}).get("loss", "margin"):
        settings = {"loss": "margin", **_OF_NETWORKS.get(model, {})}
    if base.image_size == (28 if base.model in _FOR_28_PIXELS else None) and digits:
        settings["image_size"] = 28 if model in _FOR_28_PIXELS else None
    return settings


def default_recipe(dataset: str | None) -> str:
    """Return the name of the default recipe (preset of training settings) for a data set.

    Data sets of which only the paper's recipe exists, 600 epochs of a large network, are treated as any other images.

    Args:
        dataset: name of the data set, in any spelling; None if the user names none either.
    """
    if dataset is None:
        return DEFAULT_RECIPE
    dataset = canonical_dataset_name(dataset)
    return dataset if dataset in _SIZED_FOR_A_CPU else IMAGES_RECIPE


def resolve(recipe: str, overrides: dict) -> Config:
    """Return a predefined training configuration, looked up by name, with some settings replaced.

    Args:
        recipe: name of a recipe.
        overrides: setting -> value.

    Raises:
        UserError: the recipe is unknown or a value is refused.
    """
    if recipe not in RECIPES:
        raise UserError(
            f"Unknown recipe {recipe!r}: expected one of {', '.join(RECIPES)}{did_you_mean(recipe, RECIPES)}."
        )
    return override(RECIPES[recipe].config, overrides)


def override(base: Config, overrides: dict) -> Config:
    """Return a copy of a training configuration with some settings replaced.

    Choosing another network resets the network settings to that network's defaults. The settings that go with the
    network (`_OF_NETWORKS`, `_FOR_28_PIXELS`) are chosen too. Extra augmentations without a base are added to the
    configuration's base. Composed examples are not augmented unless an augmentation is chosen, too.

    Args:
        base: the configuration; it is not changed.
        overrides: setting -> value.

    Raises:
        UserError: a value is refused.
    """
    for field in settings():
        if field.name in overrides:
            check(field, overrides[field.name])
    values = dict(base.__dict__)
    if overrides.get("model", base.model) != base.model:
        values.update(dict.fromkeys(network_settings()))
        values.update(_settings_with_network(base, overrides))
    composes = overrides.get("compose", "none") != "none" and base.compose == "none"
    base_augment = ("none",) if composes else base.augment
    augment = overrides.get("augment", base_augment)
    if augment and not set(augment) & set(AUGMENT_BASES):
        augment = (base_augment[0], *augment)
    overrides = {**overrides, "augment": augment}
    return replace(base, **{**values, **overrides})
