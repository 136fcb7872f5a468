"""Function that makes a data set of overlapping or transformed objects from one of images with a single object."""

from dataclasses import replace

import numpy as np

from ..runs.errors import UserError
from .augmentation.views import Views
from .composition.canvas import canvas_size
from .composition.overlap import Overlap
from .composition.single import AffineTransform, Placement
from .pipeline.composed_split import ComposedSplit
from .pipeline.dataset import Dataset, SingleSplit

_LEAST_CLASSES = 3  # of two classes every pair has the same labels


def composed(dataset: Dataset, compose: str) -> Dataset:
    """Make a data set of overlapping or affinely transformed images from a data set of single images.

    The composed images resemble MultiMNIST and affNIST.

    Args:
        dataset: the data set of single images.
        compose: "none" returns the data set as it is; "overlap" has pairs of images of different classes; "affine" has
            upright images on a larger canvas, and transformed ones in the test data.

    Raises:
        UserError: the data set has too few classes for pairs.
    """
    if compose == "none":
        return dataset
    canvas = canvas_size(dataset.views.size, compose)
    classes = len(dataset.class_names)
    if compose == "overlap" and classes < _LEAST_CLASSES:
        raise UserError(
            f"--compose=overlap needs at least {_LEAST_CLASSES} classes: with fewer, every pair of images has the same "
            f"labels. {dataset.name} has {classes}. Choose other data, or leave --compose out."
        )

    def compose_split(part: str) -> ComposedSplit:
        split: SingleSplit = getattr(dataset, part)
        composition: Overlap | Placement | AffineTransform
        if compose == "overlap":
            if len(np.unique(split.labels)) == 1:
                raise UserError(
                    f"--compose=overlap needs images of at least two classes in each part of the data. All "
                    f"{len(split):,} {part} images are of one class ({dataset.class_names[split.labels[0]]}). Add "
                    "images of other classes, or leave --compose out."
                )
            composition = Overlap(split.labels, canvas)
        else:
            composition = AffineTransform(canvas) if part == "test" else Placement(canvas)
        return ComposedSplit(split, np.arange(len(split)), dataset.views, composition)

    train, validation, test = map(compose_split, ("train", "validation", "test"))
    return replace(dataset, train=train, validation=validation, test=test, views=Views(canvas, mirrors=False))
