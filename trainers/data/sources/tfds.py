"""Any image classification data set of TensorFlow Datasets, from what is prepared on disk; nothing is downloaded."""

import difflib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from ...runs.errors import UserError
from ..pipeline.encoded import EncodedSplit
from ..pipeline.split import Split, checked_split, stratified
from .loaded import Loaded
from .record_files import RecordFiles

# Digits, letters and house numbers: a mirrored one is another sign, or none.
_NOT_MIRRORED = ("mnist", "svhn_cropped", "emnist", "kmnist", "omniglot", "binarized_mnist", "mnist_corrupted")
_HELD_OUT = ("test", "validation")  # the first is the test split; its labels may be secret, as imagenet2012's are
# Data sets of ours alone, and where they come from.
_NOT_TFDS = {
    "digits": "scikit-learn brings it",
    "folder": "images are read from --data_dir as they are",
    "h_imagenet": "`encapnet data h_imagenet` builds it from ImageNet",
}
TEST_SHARE = 0.2  # of a data set that comes without a test split
_GIB = 1 << 30


def load_tfds(config, size) -> Loaded:
    """Loads a data set by its TFDS name.

    Images of one size are decoded into memory. Of others, the encoded images are kept in memory while they fit
    `--cache_gib`; beyond that they are read from the record files as they are wanted.

    Args:
        config: the run's `Config`: dataset, data_dir, cache_gib.
        size: (height, width) for images of differing sizes, or None.

    Raises:
        UserError: TFDS is not installed, has no such data set, or it is not (or half) prepared; the message says what
            to run. Or it is no image classification data set.
    """
    name = config.dataset
    builder = tfds_builder(name, config.data_dir)
    _refuse_unprepared(builder, config)
    image, label = _keys(name, builder.info.features)
    splits = builder.info.splits
    if "train" not in splits:
        raise UserError(f"--dataset={name} has no split named train; it has {', '.join(splits)}.")
    read = _Reader(builder, image, label, size, config.cache_gib)
    train = read("train")
    held_out = [read(split) for split in _HELD_OUT if split in splits and read.has_labels(split)]
    if not held_out:
        train, *held_out = stratified(train, TEST_SHARE)
    names = tuple(builder.info.features[label].names)
    mirrors = name.split("/")[0].split(":")[0] not in _NOT_MIRRORED
    return Loaded(names, train, *held_out, mirrors=mirrors)


def tfds_builder(name: str, data_dir):
    """The TFDS builder of a data set.

    Raises:
        UserError: TFDS is not installed, or has no data set of that name, for it may be ours alone.
    """
    if name in _NOT_TFDS:
        raise UserError(f"--dataset={name} needs no preparing by TensorFlow Datasets: {_NOT_TFDS[name]}.")
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f"--dataset={name} is read by TensorFlow Datasets, which is not installed ({error}): "
            'pip install "encapnet_tf[data]". The digits, Fashion-MNIST and MNIST from IDX files, and folders of '
            "images work without it."
        ) from None
    known = tfds.list_builders(with_community_datasets=False)  # the community's list would be fetched
    family = name.split("/")[0].split(":")[0]
    folder = Path(data_dir) if data_dir else Path(tfds.core.constants.DATA_DIR)
    if family not in known and not (folder / family).is_dir():
        near = difflib.get_close_matches(name, [*_NOT_TFDS, *known], n=3)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise UserError(
            f"--dataset={name}: TensorFlow Datasets has no data set of this name.{hint} For images of your own: "
            "--dataset=folder --data_dir=FOLDER, with a folder for each class."
        )
    try:
        return tfds.builder(name, data_dir=data_dir)
    except (ValueError, RuntimeError, OSError, ImportError) as error:  # a config or version that does not exist, ...
        raise UserError(f"--dataset={name}: {error}") from None


def prepare_command(config) -> str:
    """What to type to download and prepare a data set."""
    folder = f" --data_dir={config.data_dir}" if config.data_dir else ""
    return f"encapnet data prepare --dataset={config.dataset}{folder}"


def _refuse_unprepared(builder, config):
    path = Path(builder.data_dir)
    command = prepare_command(config)
    if not (path / "dataset_info.json").is_file():
        halves = sorted(str(half) for half in path.parent.glob(f"incomplete.*_{path.name}"))
        began = f" A preparation that did not finish left {', '.join(halves)}; delete it." if halves else ""
        raise UserError(
            f"--dataset={config.dataset} is not prepared in {path}, and nothing is downloaded in passing.{began} "
            f"Run, with a network: {command}"
        )
    for split in builder.info.splits.values():
        missing = [Path(file) for file in split.filepaths if not (Path(file).is_file() and Path(file).stat().st_size)]
        if missing:
            raise UserError(
                f"--dataset={config.dataset} is half prepared: {len(missing)} of {len(split.filepaths)} files of its "
                f"{split.name} split are missing or empty, the first {missing[0]}. Delete {path} and run: {command}"
            )


def _keys(name, features):
    """Names of the image and of its label."""
    import tensorflow_datasets as tfds

    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    label = "label" if "label" in labels else labels[0] if len(labels) == 1 else None
    if len(images) != 1 or label is None:
        raise UserError(
            f"--dataset={name} is no image classification data set: expected one image and one class label an example. "
            f"It has {', '.join(features)}."
        )
    return images[0], label


class _Reader:
    """Reads splits of one builder: pixels where all images have one size, else encoded images."""

    def __init__(self, builder, image, label, size, cache_gib):
        import tensorflow_datasets as tfds

        self.builder, self.image, self.label, self.size = builder, image, label, size
        self.limit = cache_gib * _GIB
        self.name = builder.info.name
        self.classes = builder.info.features[label].num_classes
        self.shape = builder.info.features[image].shape
        self.skip_decoding = {image: tfds.decode.SkipDecoding()}

    def __call__(self, split: str):
        with self._naming_damage(split):
            return self._read(split, self.builder.info.splits[split])

    def has_labels(self, split: str) -> bool:
        """Whether a split's labels are public: where they are not, TFDS says -1."""
        with self._naming_damage(split):
            first = self._examples(split, self.skip_decoding).take(1)
            return all(example[self.label] >= 0 for example in first.as_numpy_iterator())

    @contextmanager
    def _naming_damage(self, split):
        try:
            yield
        except tf.errors.OpError as error:
            reason = error.message.split("}} ")[-1].split(" [Op:")[0].rstrip(".")
            raise UserError(
                f"--dataset={self.name}: the files of its {split} split in {self.builder.data_dir} are damaged "
                f"({reason}). Delete that folder and prepare the data set again."
            ) from None

    def _read(self, split, info):
        if None not in self.shape and info.num_examples * np.prod(self.shape) <= self.limit:
            try:
                return self._pixels(split, info)
            except tf.errors.InvalidArgumentError:  # an image is corrupt: as a file of its own it can be named
                return self._encoded_in_memory(split, info)
        if self.size is None:
            what = "differ in size" if None in self.shape else f"are too many for --cache_gib={self.limit / _GIB:g}"
            raise UserError(f"--dataset={self.name}: its images {what}; say --image_size, such as --image_size=128.")
        if info.num_bytes <= self.limit:
            return self._encoded_in_memory(split, info)
        return self._encoded_on_disk(split, info)

    def _pixels(self, split, info) -> Split:
        images = np.empty((info.num_examples, *self.shape), np.uint8)
        labels = np.empty(info.num_examples, np.int64)
        n = 0
        for example in self._examples(split, None).batch(512).as_numpy_iterator():
            batch = example[self.image]
            images[n : n + len(batch)], labels[n : n + len(batch)] = self._counted(n, batch, info), example[self.label]
            n += len(batch)
        self._whole(n, info)
        return checked_split(f"{self.name} ({split})", images, labels, self.classes)

    def _encoded_in_memory(self, split, info) -> EncodedSplit:
        data, labels = [], []
        for example in self._examples(split, self.skip_decoding).as_numpy_iterator():
            data.append(example[self.image])
            labels.append(example[self.label])
        self._whole(len(data), info)
        table = tf.constant(data)
        name = f"{self.name}'s {split} split"
        return self._encoded(split, lambda index: table[index], np.array(labels), lambda i: f"image {i} of {name}")

    def _encoded_on_disk(self, split, info) -> EncodedSplit:
        records = RecordFiles.of(self.name, info.filepaths)
        self._whole(len(records), info)
        features = self.builder.info.features

        def example(index):
            return features.deserialize_example(records.read(index), decoders=self.skip_decoding)

        labels = records.labels(lambda index: example(index)[self.label], Path(self.builder.data_dir))
        return self._encoded(split, lambda index: example(index)[self.image], labels, records.name_of)

    def _encoded(self, split, read, labels, name_of) -> EncodedSplit:
        checked_split(f"{self.name} ({split})", np.zeros((len(labels), 1, 1), np.uint8), labels, self.classes)
        channels = self.shape[-1] if self.shape[-1] in (1, 3) else 3
        rows = np.arange(len(labels))
        return EncodedSplit(read, rows, labels.astype(np.int32), self.size or self.shape[:2], channels, name_of)

    def _examples(self, split, decoders):
        import tensorflow_datasets as tfds

        # Files in one order, examples in the files' order: what index i is must not depend on the machine.
        config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        try:
            examples = self.builder.as_dataset(split=split, shuffle_files=False, decoders=decoders, read_config=config)
        except NotImplementedError as error:
            raise UserError(
                f"--dataset={self.name} is prepared in a file format that cannot be streamed: {error} Prepare it with "
                "TFDS's default format, tfrecord."
            ) from None
        return examples.map(lambda example: {key: example[key] for key in (self.image, self.label)})

    def _counted(self, n, batch, info):
        if n + len(batch) > info.num_examples:
            self._whole(n + len(batch), info)
        return batch

    def _whole(self, found, info):
        if found != info.num_examples:
            raise UserError(
                f"--dataset={self.name}: its {info.name} split should have {info.num_examples:,} examples; "
                f"{'at least ' if found > info.num_examples else ''}{found:,} were found in {self.builder.data_dir}. "
                "Delete that folder and prepare the data set again."
            )
