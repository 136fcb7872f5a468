"""Container classes for image data sets that are divided into training, validation and test data."""

from dataclasses import dataclass, field

import numpy as np

from ...runs.errors import UserError
from ..augmentation.augment import Augmentation
from ..augmentation.views import Views
from .composed_split import ComposedSplit
from .encoded import EncodedSplit
from .split import Split

SingleSplit = Split | EncodedSplit  # images as they are stored
AnySplit = SingleSplit | ComposedSplit

# A constant rather than the run's seed, so that runs of every seed validate and test on the same images.
_SPLIT_SEED = 0
TEST_SHARE = 0.2  # of the training images; the test split of a data set without one


@dataclass(frozen=True)
class SourceDataset:
    """Image data set as loaded from disk: labelled training and test images, and optionally validation images.

    Attributes:
        class_names: one per class, in the order of the labels.
        train, test: a `Split` or an `EncodedSplit` each.
        validation: likewise; None where the files have no validation split.
        mirrors: whether a mirrored image still belongs to its class, which is not so for digits.
        skipped: reason -> names of the files that were left out.
        source: where the images were found, for the user; empty if that is `data_dir`.
    """

    class_names: tuple[str, ...]
    train: SingleSplit
    test: SingleSplit
    validation: SingleSplit | None = None
    mirrors: bool = True
    skipped: dict = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Dataset:
    """Image data set ready for training, with labelled images for training, validation and testing.

    The best epoch is chosen on the validation split; the test split is used once, at the end.

    Attributes:
        name: of the data set.
        class_names: one per class, in the order of the labels.
        train, validation, test: a `Split` or an `EncodedSplit` each, or a `ComposedSplit`.
        views: crops and sizes of the network's input.
        skipped: reason -> names of the files that were left out.
        source: where the images were found, for the user.
    """

    name: str
    class_names: tuple[str, ...]
    train: AnySplit
    validation: AnySplit
    test: AnySplit
    views: Views
    skipped: dict = field(default_factory=dict)
    source: str = ""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and number of channels of the images that are passed to the network."""
        return (*self.views.size, self.train.shape[2])

    @property
    def labels_per_image(self) -> int:
        """Number of labels per image, which is 2 for images of two overlapping objects and 1 for other images."""
        return self.train.composition.objects if isinstance(self.train, ComposedSplit) else 1

    @property
    def single_size(self) -> tuple[int, int] | None:
        """Size (height, width) of images before they are placed on a canvas, or None for data sets without a canvas.

        MultiMNIST and affNIST, for example, have a canvas.
        """
        return self.train.views.size if isinstance(self.train, ComposedSplit) else None

    def augmentation(self, names) -> Augmentation:
        """Return a callable that applies the given augmentation steps to training images."""
        views = self.train.views if isinstance(self.train, ComposedSplit) else self.views
        return Augmentation(names, views, len(self.class_names))


def stratified_split(split: SingleSplit, share: float | int) -> tuple[SingleSplit, SingleSplit]:
    """Divide labelled images reproducibly into two subsets with the same class proportions.

    Args:
        split: images to divide.
        share: fraction (float) or number (int) of the images that the second part gets.

    Returns:
        The two parts, each in the order of `split`.

    Raises:
        UserError: a class has too few images for the share.
    """
    from sklearn.model_selection import train_test_split

    try:
        first, second = train_test_split(
            np.arange(len(split)), test_size=share, stratify=split.labels, random_state=_SPLIT_SEED
        )
    except ValueError as error:
        raise UserError(
            f"Cannot set aside {share} of {len(split)} images, every class in proportion: {str(error).rstrip('.')}. "
            "Add images to the smallest classes, of which each should have at least five, or leave these classes out."
        ) from None
    return split.take(np.sort(first)), split.take(np.sort(second))
