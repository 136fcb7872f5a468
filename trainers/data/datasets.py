"""The data sets by name, and the way from a configuration to three checked splits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from ..runs.errors import UserError
from .augmentation.views import ENLARGE, Views
from .pipeline.encoded import EncodedSplit, some, square
from .pipeline.split import Dataset, Split, checked_split, stratified
from .sources.folder import load_folder
from .sources.idx import read_idx
from .sources.loaded import Loaded
from .sources.tfds import load_tfds

DIGITS_TEST_IMAGES = 360
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


_GIB = 1 << 30


def digits(config, size) -> Loaded:
    """The 1,797 handwritten 8x8 digits that scikit-learn ships: no download. 360 of them are the fixed test split."""
    from sklearn.datasets import load_digits

    data = load_digits()
    everything = checked_split("digits", np.round(data.images * (255 / 16)), data.target, classes=10)
    train, test = stratified(everything, DIGITS_TEST_IMAGES)
    return Loaded(tuple("0123456789"), train, test, mirrors=False)


def fashion_mnist(config, size) -> Loaded:
    """Fashion-MNIST's IDX files: 60,000 images of 28x28 to train on, 10,000 to test on. Without --data_dir the ones of
    Debian's package or, where that is not installed, what TFDS has prepared."""
    if config.data_dir is None and not DEBIAN_FASHION_MNIST.is_dir():
        try:
            return load_tfds(config, size)
        except UserError as error:
            raise UserError(f"{_no_file(DEBIAN_FASHION_MNIST)} Or by TFDS: {error}") from None
    folder = Path(config.data_dir) if config.data_dir else DEBIAN_FASHION_MNIST
    if _is_tfds_folder(folder, "fashion_mnist"):
        return load_tfds(config, size)
    return _idx_data("fashion_mnist", folder, FASHION_CLASSES, mirrors=True)


def mnist(config, size) -> Loaded:
    """MNIST from its IDX files, where --data_dir holds them, else from TFDS."""
    if config.data_dir is None or not list(Path(config.data_dir).glob("*-idx?-ubyte*")):
        return load_tfds(config, size)
    return _idx_data("mnist", Path(config.data_dir), tuple("0123456789"), mirrors=False)


def _idx_data(name, folder, class_names, mirrors):
    def read(part):
        images = read_idx(_idx_file(folder, f"{part}-images-idx3-ubyte"), ndim=3)
        labels = read_idx(_idx_file(folder, f"{part}-labels-idx1-ubyte"), ndim=1)
        return checked_split(f"{name} ({part} files in {folder})", images, labels, len(class_names))

    return Loaded(class_names, read("train"), read("t10k"), mirrors=mirrors)


def _idx_file(folder, name):
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise UserError(_no_file(folder, name))


def _no_file(folder, name="train-images-idx3-ubyte"):
    return (
        f"The file {name}[.gz] is not in {folder}. Say --data_dir=FOLDER for the folder that holds the data set's four "
        "files; Fashion-MNIST's are found by themselves once `apt-get install dataset-fashion-mnist` (Debian, Ubuntu) "
        "has put them there."
    )


def _is_tfds_folder(folder, name):
    return (folder / name).is_dir()


# Names that are not simply TFDS's.
DATASETS = {
    "digits": digits,
    "fashion_mnist": fashion_mnist,
    "mnist": mnist,
    "folder": load_folder,
    "h_imagenet": load_folder,
}


def load(config) -> Dataset:
    """Loads the data set of a configuration and sets its validation split aside, from the training images.

    Args:
        config: the run's `Config`.

    Raises:
        UserError: the data is missing or damaged; the message says where it was looked for and what to do.
    """
    loader = DATASETS.get(config.dataset, load_tfds)
    if config.classes_file is not None and loader is not load_folder:
        raise UserError(f"--classes_file chooses among folders of images; --dataset={config.dataset} is none.")
    enlarge = ENLARGE[config.augment[0]]
    asked = None if config.image_size is None else Views((config.image_size, config.image_size), enlarge)
    loaded = loader(config, asked and asked.enlarged())
    mirrors = {"auto": loaded.mirrors, "yes": True, "no": False}[config.flip]
    # Encoded images were brought to the enlarged size; without --image_size theirs is both.
    views = replace(asked, mirrors=mirrors) if asked else Views(loaded.train.shape[:2], enlarge, mirrors)

    splits = {"train": loaded.train, "validation": loaded.validation, "test": loaded.test}
    splits = {name: split for name, split in splits.items() if split is not None}
    skipped = dict(loaded.skipped)
    if config.corrupt_images == "skip":
        splits, skipped["corrupt image"] = _without_corrupt(splits)
    room = config.cache_gib * _GIB - sum(_decoded_bytes(split) for split in splits.values())
    splits = {name: _settled(split, views, decoded=room >= 0) for name, split in splits.items()}
    if config.train_limit is not None and config.train_limit < len(splits["train"]):
        _, splits["train"] = stratified(splits["train"], config.train_limit)
    if "validation" not in splits:
        splits["train"], splits["validation"] = stratified(splits["train"], config.validation_fraction)
    skipped = {why: tuple(names) for why, names in skipped.items() if names}
    return Dataset(config.dataset, loaded.class_names, views=views, skipped=skipped, **splits)


def _without_corrupt(splits):
    kept, names = {}, []
    for part, split in splits.items():
        if isinstance(split, EncodedSplit):
            readable = split.readable()
            names += split.names(np.setdiff1d(np.arange(len(split)), readable))
            split = split.take(readable)
        kept[part] = split
    return kept, names


def _decoded_bytes(split):
    return len(split) * int(np.prod(split.shape))


def _settled(split, views, decoded: bool):
    """Encoded images that fit are decoded into memory. Pixels larger than ever needed, or of another aspect, are cut
    and resized once, as those of files are."""
    if isinstance(split, EncodedSplit):
        return split.decoded() if decoded else split
    (height, width, channels), enlarged = split.shape, views.enlarged()
    if height <= enlarged[0] and width <= enlarged[1] and height * views.size[1] == width * views.size[0]:
        return split
    any_size = tf.TensorSpec((None, None, channels), tf.uint8)  # `square` asks the size as it runs
    resized = tf.function(lambda image: square(image, enlarged), input_signature=[any_size], autograph=False)
    each = tf.data.Dataset.from_tensor_slices(split.images).map(resized, num_parallel_calls=tf.data.AUTOTUNE)
    images = np.empty((len(split), *enlarged, channels), np.uint8)
    for i, batch in enumerate(each.batch(256).as_numpy_iterator()):
        images[256 * i : 256 * i + 256] = batch
    return Split(images, split.labels)


def describe_skipped(dataset: Dataset) -> str:
    """What was left out and why, in a sentence; empty where nothing was."""
    return "; ".join(f"{len(names):,} x {why} ({some(names, 3)})" for why, names in dataset.skipped.items())
