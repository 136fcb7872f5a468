"""Functions that load a data set and divide the images into training, validation and test data."""

import numpy as np
import tensorflow as tf

from ..config.naming import data_name
from ..config.schema import Config
from ..runs.errors import UserError
from .augmentation.views import ENLARGE, Views
from .composing import composed
from .pipeline.dataset import Dataset, SingleSplit, stratified_split
from .pipeline.decoding import crop_and_resize
from .pipeline.encoded import EncodedSplit, abbreviate
from .pipeline.split import Split
from .sources.digits import load_digits
from .sources.folder import load_folder
from .sources.originals import ORIGINALS, load_original
from .sources.own_arrays import load_npz
from .sources.prepared.loader import load_tfds
from .sources.prepared.smallnorb import SPLITS as SMALLNORB
from .sources.prepared.smallnorb import load_smallnorb

_GIB = 1 << 30
_RESIZE_BATCH = 256

# Data sets with a loader of their own. Every other name is one of TensorFlow Datasets.
# A loader is called with the configuration and the size to decode images of differing sizes to; see `load_folder`.
LOADERS = {
    "digits": load_digits,
    "folder": load_folder,
    "h_imagenet": load_folder,
    "npz": load_npz,
    **dict.fromkeys(ORIGINALS, load_original),
    **dict.fromkeys(SMALLNORB, load_smallnorb),
}


def load(config: Config) -> Dataset:
    """Load the training, validation and test images of the data set named in a training configuration.

    A data set without a validation split gets one: a fixed share of its training images, every class in proportion.

    Args:
        config: the run's configuration.

    Raises:
        UserError: the data is missing or damaged; the message says where it was looked for and what to do.
    """
    loader = LOADERS.get(config.dataset, load_tfds)
    if config.classes_file is not None and loader is not load_folder:
        raise UserError(
            "--classes_file selects class folders, which only --dataset=folder and --dataset=h_imagenet have. "
            f"Received --dataset={config.dataset}. Leave --classes_file out, or choose one of the two."
        )
    enlarge = ENLARGE[config.augment[0]]
    network_size = None if config.image_size is None else (config.image_size, config.image_size)
    source = loader(config, network_size and Views(network_size, enlarge).enlarged_size())
    mirrors = {"auto": source.mirrors, "yes": True, "no": False}[config.flip]
    # Without --image_size the network sees images at the size they are stored in.
    views = Views(network_size or source.train.shape[:2], enlarge, mirrors)

    splits: dict[str, SingleSplit] = {"train": source.train}
    if source.validation is not None:
        splits["validation"] = source.validation
    splits["test"] = source.test
    skipped = dict(source.skipped)
    if config.corrupt_images == "skip":
        splits, skipped["corrupt image"] = _drop_corrupt_images(splits)
    fits_memory = sum(_decoded_bytes(split) for split in splits.values()) <= config.cache_gib * _GIB
    for name, split in splits.items():
        if not isinstance(split, EncodedSplit):
            splits[name] = _shrink_to_views(split, views)
        elif fits_memory:
            splits[name] = split.decode()
    if config.train_limit is not None and config.train_limit < len(splits["train"]):
        _, splits["train"] = stratified_split(splits["train"], config.train_limit)
    if "validation" not in splits:
        splits["train"], splits["validation"] = stratified_split(splits["train"], config.validation_fraction)
    skipped = {reason: tuple(names) for reason, names in skipped.items() if names}
    dataset = Dataset(
        name=data_name(config),
        class_names=source.class_names,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        views=views,
        skipped=skipped,
        source=source.source or str(config.data_dir),
    )
    return composed(dataset, config.compose)


def _drop_corrupt_images(splits: dict[str, SingleSplit]) -> tuple[dict[str, SingleSplit], list[str]]:
    """Return the training, validation and test data without corrupt images, and the names of the removed images."""
    remaining: dict[str, SingleSplit] = {}
    corrupt: list[str] = []
    for part, split in splits.items():
        if isinstance(split, EncodedSplit):
            readable = split.readable_indices()
            corrupt += split.image_names(np.setdiff1d(np.arange(len(split)), readable))
            split = split.take(readable)
        remaining[part] = split
    return remaining, corrupt


def _decoded_bytes(split: SingleSplit) -> int:
    return len(split) * int(np.prod(split.shape))


def _shrink_to_views(split: Split, views: Views) -> Split:
    """Crop and resize decoded images to the size needed for the network input.

    Images that are no larger than that and have the right aspect ratio are returned unchanged.

    Done once, by the function that decoded files go through, so that pixels in memory and files of the same images
    give the same network input.
    """
    (height, width, channels), needed_size = split.shape, views.enlarged_size()
    same_aspect = height * views.size[1] == width * views.size[0]
    if height <= needed_size[0] and width <= needed_size[1] and same_aspect:
        return split
    # Height and width are unknown in the graph, as those of files are, so that both go through the same operations.
    any_size = tf.TensorSpec((None, None, channels), tf.uint8)
    resize = tf.function(lambda image: crop_and_resize(image, needed_size), input_signature=[any_size], autograph=False)
    batches = tf.data.Dataset.from_tensor_slices(split.images).map(resize, num_parallel_calls=tf.data.AUTOTUNE)
    images = np.empty((len(split), *needed_size, channels), np.uint8)
    for i, batch in enumerate(batches.batch(_RESIZE_BATCH).as_numpy_iterator()):
        images[_RESIZE_BATCH * i : _RESIZE_BATCH * (i + 1)] = batch
    return Split(images, split.labels)


def describe_skipped(dataset: Dataset) -> str:
    """Format the files skipped while loading a data set as one line of text, grouped by reason.

    The text is empty if no file was left out.
    """
    return "; ".join(f"{len(names):,} x {reason} ({abbreviate(names, 3)})" for reason, names in dataset.skipped.items())
