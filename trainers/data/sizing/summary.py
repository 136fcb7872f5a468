"""Statistics of an image data set, such as image count and image sizes, computed without decoding any image."""

import math
from dataclasses import dataclass
from statistics import median

import numpy as np

from ...config.schema import Config
from ...runs.errors import UserError
from ..loading import LOADERS
from ..pipeline.dataset import TEST_SHARE, SourceDataset
from ..sources.folder import list_folder, load_folder
from ..sources.originals import find_original, load_original
from ..sources.prepared import smallnorb
from ..sources.prepared.loader import HELD_OUT_SPLITS, load_tfds, open_prepared
from .headers import ImageHeader, headers_of_files, headers_of_records

SAMPLE = 500  # images whose headers are read


@dataclass(frozen=True)
class DataSummary:
    """Statistics of an image data set: number of images and classes, and the sizes of sample images.

    Attributes:
        images: labelled images to train and validate on; the test images are not among them.
        classes: number of classes.
        smallest_class: number of these images in the smallest class.
        has_validation: whether the data set has a validation split of its own.
        headers: size and kind of a sample of the images; empty if they are unknown.
    """

    images: int
    classes: int
    smallest_class: int
    has_validation: bool
    headers: tuple[ImageHeader, ...]

    @property
    def common_size(self) -> tuple[int, int] | None:
        """Height and width of the sample images, or None if their sizes differ or are unknown."""
        sizes = {(header.height, header.width) for header in self.headers}
        return sizes.pop() if len(sizes) == 1 else None

    @property
    def short_side(self) -> int | None:
        """Median length of the shorter image side in pixels, or None if no image size is known."""
        sides = [min(header.height, header.width) for header in self.headers]
        return int(median(sides)) if sides else None

    @property
    def aspect_ratio(self) -> float:
        """Median ratio of the longer to the shorter image side, or 1 if no image size is known."""
        ratios = [max(header.height, header.width) / min(header.height, header.width) for header in self.headers]
        return median(ratios) if ratios else 1.0

    @property
    def is_grey(self) -> bool:
        """True if all sample images of the data set are stored in greyscale."""
        return bool(self.headers) and all(header.is_grey for header in self.headers)


def summarise(config: Config) -> DataSummary:
    """Count the images and classes of the configured data set, and read the sizes of sample images.

    Of a folder, all files are listed and the headers of at most `SAMPLE` files are read. Of a data set of TensorFlow
    Datasets, the metadata is read, and the headers of some images if the metadata has no size. Original files and
    arrays, which hold pixels, are read whole.

    Raises:
        UserError: the data cannot be found, or has fewer than two classes; the message says what to do.
    """
    loader = LOADERS.get(config.dataset, load_tfds)
    if loader is load_folder:
        return _of_folder(config)
    if loader is load_original:
        download, _ = find_original(config)
        return _of_tfds(config) if download is None else _of_pixels(config, download.read())
    if loader is smallnorb.load_smallnorb:
        return _of_smallnorb(config)
    return _of_tfds(config) if loader is load_tfds else _of_pixels(config, loader(config, None))


def _of_folder(config) -> DataSummary:
    listing = list_folder(config)
    files, labels = listing.files["train"], listing.labels["train"]
    sample = [files[i] for i in np.linspace(0, len(files) - 1, min(len(files), SAMPLE)).astype(int)]
    headers = headers_of_files(sample)
    if not headers:
        raise UserError(f"None of {len(sample):,} images of {config.data_dir} can be read, such as {sample[0]}.")
    counts = np.bincount(labels, minlength=len(listing.class_names))
    share = 1.0 if "test" in listing.files else 1 - TEST_SHARE
    return _summary(config, counts, share, headers, has_validation="validation" in listing.files)


def _of_pixels(config, source: SourceDataset) -> DataSummary:
    height, width, channels = source.train.shape  # of every image
    counts = np.bincount(source.train.labels, minlength=len(source.class_names))
    header = ImageHeader(height, width, channels == 1)
    return _summary(config, counts, 1.0, (header,), has_validation=source.validation is not None)


def _of_tfds(config) -> DataSummary:
    builder, image_key, label_key = open_prepared(config)
    splits, classes = builder.info.splits, builder.info.features[label_key].num_classes
    if classes < 2:
        raise UserError(f"--dataset={config.dataset} has {classes} class; expected at least 2.")
    height, width, channels = builder.info.features[image_key].shape
    if None in (height, width):
        headers = headers_of_records(builder.info.name, splits["train"].filepaths, image_key, SAMPLE)
    else:
        headers = (ImageHeader(height, width, channels == 1),)
    held_out = [name for name in HELD_OUT_SPLITS if name in splits]
    share = 1.0 if held_out else 1 - TEST_SHARE
    # The metadata does not count the images of a class.
    counts = np.full(classes, splits["train"].num_examples / classes)
    return _summary(config, counts, share, headers, has_validation=len(held_out) > 1)


def _of_smallnorb(config) -> DataSummary:
    info, viewpoints = smallnorb.prepared_builder(config).info, smallnorb.SPLITS[config.dataset]
    classes = info.features[smallnorb.LABEL].num_classes
    images = info.splits["train"].num_examples * (viewpoints.share if viewpoints else 1)
    height, width, _ = info.features[smallnorb.IMAGES[0]].shape
    return _summary(config, np.full(classes, images / classes), 1.0, (ImageHeader(height, width, True),))


def _summary(config, counts, share: float, headers, has_validation: bool = False) -> DataSummary:
    """Compute statistics of an image data set from the image count of each class and the headers of some images.

    Args:
        config: the configuration, for `train_limit`.
        counts: number of images of every class, before test images are split off.
        share: of these images that remains for training and validation.
        headers: of a sample.
        has_validation: whether there is a validation split besides these images.
    """
    total = float(counts.sum())
    images = min(math.floor(share * total), config.train_limit or math.inf)
    smallest = math.floor(images / total * float(counts.min()))
    return DataSummary(int(images), len(counts), smallest, has_validation, tuple(headers))
