"""Rules that choose image size, batch size, epochs, learning rate, network and augmentation for a data set.

Every number here was chosen by trying: results/own_images.md. The choice is meant for two CPU cores, where an hour is
long; on a GPU a larger network and larger images may be given by flags.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ...config.schema import Config
from ...config.setting import as_flag
from .summary import DataSummary

_SMALLEST_SIDE, _LARGEST_KEPT_SIDE = 8, 64  # pixels; images of one size between them are not resized
_SIZES = (32, 48, 64, 96)  # for all other images: the largest that does not enlarge most images
_LARGE_STEM_SIDE = 96  # from here on the network's stem shrinks images to a quarter (models.EncapNet)
_FINAL_SIDE = 4  # pixels; the modules halve the image until it is no larger
_FULL_SIZE_SIDE = 40  # pixels, up to which the first module works at the size of its input
_MOST_DIM = 16  # of a capsule; the dimension doubles from module to module, from 2
_PER_MODULE = ("depths", "capsule_dims", "strides")  # settings with one value for each module

# (images from which on, batch size)
_BATCHES = ((20_000, 128), (2_000, 64), (300, 32), (0, 8))
_PIXELS_PER_BATCH = 64 * 64 * 64  # at the first module, which bounds the memory of a step
_LEAST_RATE, _FULL_RATE, _FULL_RATE_BATCH = 2e-3, 3e-3, 64  # the rate shrinks with the square root of the batch size
_STEPS = 1500  # wanted in all, within these numbers of epochs
_LEAST_EPOCHS, _MOST_EPOCHS = 3, 120
_AUGMENTED_EPOCHS = 6  # with fewer the images are hardly repeated, and need no augmentation
_VALIDATION_IMAGES = 30  # wanted of small sets
_CAPSULES = ((100, 32), (0, 16))  # (classes from which on, capsules at every layer)


@dataclass(frozen=True)
class Choice:
    """Training settings chosen automatically for a data set, with the reason for each choice.

    Attributes:
        settings: setting -> value, without those that the user gave.
        reasons: one sentence or so for each group of settings that were chosen, in the order in which they are shown.
    """

    settings: dict
    reasons: tuple[tuple[tuple[str, ...], str], ...]

    def text(self, summary: DataSummary) -> str:
        """Return a message that lists the automatically chosen training settings with the reason for each choice."""
        lines = [f"recipe images, for {_describe(summary)}:"]
        for names, reason in self.reasons:
            if chosen := [f"{name}={as_flag(self.settings[name])}" for name in names if name in self.settings]:
                lines.append(f"  {' '.join(chosen)}: {reason}")
        lines.append("  A flag of the same name overrides each of these.")
        if any(header.is_16_bit for header in summary.headers):
            lines.append(
                "  Some images are PNG files of 16 bits, of which the upper 8 bits are read. Values of 12 bits, as "
                "cameras and scanners often write them, become nearly black: save such images with 8 bits."
            )
        return "\n".join(lines)


def choose(summary: DataSummary, config: Config, given: Collection[str]) -> Choice:
    """Choose values for training settings that the user did not set, from the number and sizes of the images.

    Args:
        summary: description of the images.
        config: configuration with the user's settings, which the choice takes into account.
        given: names of the settings that the user gave, which are not chosen.
    """
    image_size, size_reason = _image_size(summary) if "image_size" not in given else (config.image_size, "")
    height, width = (image_size, image_size) if image_size else summary.common_size or (_LARGE_STEM_SIDE,) * 2
    side = max(height, width) / (4 if min(height, width) >= _LARGE_STEM_SIDE else 1)  # that the first module gets

    fraction = _validation_fraction(summary)
    if summary.has_validation:
        training_images = summary.images
    else:
        share = config.validation_fraction if "validation_fraction" in given else fraction
        training_images = max(1, math.floor(summary.images * (1 - share)))
    batch = config.batch_size if "batch_size" in given else _batch_size(training_images, side)
    steps = max(1, training_images // batch)
    epochs = config.epochs if "epochs" in given else max(_LEAST_EPOCHS, min(_MOST_EPOCHS, round(_STEPS / steps)))
    is_small = summary.common_size is not None and max(summary.common_size) <= _LARGEST_KEPT_SIDE

    augment = ("none" if epochs < _AUGMENTED_EPOCHS else "affine" if is_small else "++",)
    settings: dict[str, Any] = {
        "image_size": image_size,
        "batch_size": batch,
        "epochs": epochs,
        "learning_rate": _learning_rate(batch),
        "augment": augment,
        "flip": "no",
    }
    if not summary.has_validation:
        settings["validation_fraction"] = fraction
    if config.model == "encapnet":
        settings |= _network(side, summary, config, given)
    used_augment = config.augment if "augment" in given else augment
    flip = "--flip=yes" if used_augment[0] in ("+", "++") else "--augment=+ --flip=yes"  # no other base mirrors images
    reasons = (
        (("image_size",), size_reason),
        (("validation_fraction",), "some images of every class to choose the best epoch on"),
        (
            ("batch_size", "epochs", "learning_rate"),
            f"{training_images:,} training images, {steps:,} steps an epoch; small sets are repeated more often",
        ),
        (
            ("num_capsules", "depths", "capsule_dims", "strides"),
            f"each module halves the image, down to {_FINAL_SIDE} pixels or less; {summary.classes:,} classes",
        ),
        (("augment",), _AUGMENT_REASONS[augment[0]]),
        (
            ("flip",),
            f"mirrored letters, digits or arrows are other classes; if left and right do not matter: {flip}",
        ),
    )
    return Choice({name: value for name, value in settings.items() if name not in given}, reasons)


def _image_size(summary: DataSummary) -> tuple[int | None, str]:
    """Choose the image size for training, and return the size with the reason for the choice.

    The size is None if the images keep their stored size.
    """
    common, short = summary.common_size, summary.short_side
    if short is None:
        return _SIZES[-1], "the sizes of the images are not known"
    if common is not None and short >= _SMALLEST_SIDE and max(common) <= _LARGEST_KEPT_SIDE:
        height, width = common
        return (height if height == width else None), "all images have this size"
    size = max([size for size in _SIZES if size <= short], default=_SIZES[0])
    return size, f"the short side of half the images has at least {short} pixels; centres of long sides are kept"


def _validation_fraction(summary: DataSummary) -> float:
    """Return the fraction of images to use for validation, which is larger for small data sets.

    It is 0.1 to 0.2, or more where that is needed for one image of every class.
    """
    wanted = max(0.1, min(0.2, _VALIDATION_IMAGES / summary.images))
    return math.ceil(100 * max(wanted, summary.classes / summary.images)) / 100


def _batch_size(images: int, side: float) -> int:
    """Choose the batch size from the number and size of the training images.

    An epoch has at least four batches if possible.
    """
    batch = next(size for least, size in _BATCHES if images >= least)
    while batch > 1 and (batch * side * side > _PIXELS_PER_BATCH or batch > max(4, images // 4)):
        batch //= 2
    return min(batch, images)


def _learning_rate(batch: int) -> float:
    """Return a learning rate that grows with the square root of the batch size, within limits."""
    return round(max(_LEAST_RATE, _FULL_RATE * min(1.0, math.sqrt(batch / _FULL_RATE_BATCH))), 5)


def _network(side: float, summary: DataSummary, config: Config, given: Collection[str]) -> dict:
    """Choose the depth and width of an EncapNet to suit the image size and the number of classes.

    Args:
        side: height or width of the map that the first module gets.
        summary: description of the images.
        config: the configuration. If one of its settings with a value for each module was given, there are so many.
        given: names of the settings that the user gave.
    """
    lengths = [len(getattr(config, name)) for name in _PER_MODULE if name in given]
    halvings = max(1, math.ceil(math.log2(side / _FINAL_SIDE)))
    modules = lengths[0] if lengths else halvings + (side <= _FULL_SIZE_SIDE)
    halvings = min(halvings, modules)
    return {
        "num_capsules": next(count for least, count in _CAPSULES if summary.classes >= least),
        "depths": (1,) * modules,
        "capsule_dims": tuple(min(_MOST_DIM, 2 ** (i + 1)) for i in range(modules)),
        "strides": (1,) * (modules - halvings) + (2,) * halvings,
    }


_AUGMENT_REASONS = {
    "none": "few epochs hardly repeat an image",
    "affine": "small rotations, shifts and zooms, which leave the edges of small images in view",
    "++": "random crops, and random changes of brightness, contrast and saturation; crops cut off objects near an "
    "edge: if edges matter, --augment=affine or none",
}


def _describe(summary: DataSummary) -> str:
    """Format a data set description as text.

    An example is "144 images of 3 classes to train and validate on, colour, of 40x52 to 160x149 pixels".
    """
    kind = "grey" if summary.is_grey else "colour"
    sizes = sorted((header.height * header.width, header.height, header.width) for header in summary.headers)
    ends = list(dict.fromkeys(f"{height}x{width}" for _, height, width in (sizes[:1] + sizes[-1:])))
    size = f", {kind}, of {' to '.join(ends)} pixels" if ends else ""
    return f"{summary.images:,} images of {summary.classes:,} classes to train and validate on{size}"
