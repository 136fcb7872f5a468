"""Reader for training, validation and test images that TensorFlow Datasets (TFDS) has prepared on disk."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from ....runs.errors import UserError
from ...pipeline.dataset import SingleSplit
from ...pipeline.encoded import EncodedSplit
from ...pipeline.split import Split, checked_split
from .record_files import RecordFiles

_GIB = 1 << 30
_READ_BATCH = 512


class TfdsSplitReader:
    """Reader for the images and labels of a TensorFlow Datasets (TFDS) data set.

    Images of one size that fit the cache are decoded into memory. Otherwise encoded images are kept in memory if they
    fit, and else read from the record files for each batch.

    Args:
        builder: of a prepared data set.
        image_key, label_key: names of the two features.
        size: (height, width) to crop and resize images to, or None if all have one size.
        cache_gib: memory for images, in GiB.
    """

    def __init__(self, builder, *, image_key: str, label_key: str, size: tuple[int, int] | None, cache_gib: float):
        import tensorflow_datasets as tfds

        self.builder, self.image_key, self.label_key, self.size = builder, image_key, label_key, size
        self.cache_bytes = cache_gib * _GIB
        self.name = builder.info.name
        self.classes = builder.info.features[label_key].num_classes
        self.shape = builder.info.features[image_key].shape
        self.keys: tuple[str, ...] = (image_key, label_key)  # the features that are read
        self.skip_decoding = {image_key: tfds.decode.SkipDecoding()}

    def read(self, split: str) -> SingleSplit:
        """Read the images and labels of one TensorFlow Datasets (TFDS) data split, such as "train".

        Raises:
            UserError: its files are damaged, or its images differ in size and no size is given.
        """
        info = self.builder.info.splits[split]
        with self.damage_as_user_error(split):
            if None not in self.shape and info.num_examples * np.prod(self.shape) <= self.cache_bytes:
                try:
                    return self._read_pixels(split, info)
                except tf.errors.InvalidArgumentError:
                    return self._read_encoded(split, info)  # an image is corrupt; an encoded split can name it
            if self.size is None:
                problem = (
                    "differ in size"
                    if None in self.shape
                    else f"are too many for --cache_gib={self.cache_bytes / _GIB:g}"
                )
                raise UserError(
                    f"--dataset={self.name}: its images {problem}. Set --image_size, such as --image_size=128."
                )
            if info.num_bytes <= self.cache_bytes:
                return self._read_encoded(split, info)
            return self._index_records(split, info)

    def has_labels(self, split: str) -> bool:
        """Return whether a TensorFlow Datasets (TFDS) data split contains labels.

        TensorFlow Datasets stores -1 for labels that are kept secret.
        """
        with self.damage_as_user_error(split):
            first = self.examples(split, self.skip_decoding).take(1)
            return all(example[self.label_key] >= 0 for example in first.as_numpy_iterator())

    @contextmanager
    def damage_as_user_error(self, split: str):
        """Convert TensorFlow errors inside a `with` block into a `UserError` about damaged data set files."""
        try:
            yield
        except tf.errors.OpError as error:
            reason = error.message.split("}} ")[-1].split(" [Op:")[0].rstrip(".")
            raise UserError(
                f"--dataset={self.name}: the files of its {split} split in {self.builder.data_dir} are damaged "
                f"({reason}). Delete that folder and prepare the data set again."
            ) from None

    def _read_pixels(self, split: str, info) -> Split:
        """Read all images of a TensorFlow Datasets (TFDS) split into memory as decoded pixels.

        All images of the data set must have the same size.
        """
        images = np.empty((info.num_examples, *self.shape), np.uint8)
        labels = np.empty(info.num_examples, np.int64)
        count = 0
        for batch in self.examples(split, None).batch(_READ_BATCH).as_numpy_iterator():
            end = count + len(batch[self.label_key])
            if end > info.num_examples:
                self.check_count(end, info)
            images[count:end], labels[count:end] = batch[self.image_key], batch[self.label_key]
            count = end
        self.check_count(count, info)
        return checked_split(f"{self.name} ({split})", images, labels, self.classes)

    def _read_encoded(self, split: str, info) -> EncodedSplit:
        """Read all images of one TensorFlow Datasets (TFDS) split into memory without decoding the images."""
        examples = list(self.examples(split, self.skip_decoding).as_numpy_iterator())
        self.check_count(len(examples), info)
        files = tf.constant([example[self.image_key] for example in examples])
        labels = np.array([example[self.label_key] for example in examples])
        split_name = f"{self.name}'s {split} split"
        return self._encoded_split(split, lambda index: files[index], labels, lambda i: f"image {i} of {split_name}")

    def _index_records(self, split: str, info) -> EncodedSplit:
        """Return a container that reads the images of one data split from TFRecord files on demand."""
        records = RecordFiles.index_files(self.name, info.filepaths)
        self.check_count(len(records), info)
        features = self.builder.info.features

        def read_example(index):
            return features.deserialize_example(records.read(index), decoders=self.skip_decoding)

        labels = records.labels(lambda index: read_example(index)[self.label_key], Path(self.builder.data_dir))
        return self._encoded_split(split, lambda index: read_example(index)[self.image_key], labels, records.name_of)

    def _encoded_split(self, split: str, read, labels, name_of) -> EncodedSplit:
        no_pixels = np.zeros((len(labels), 1, 1), np.uint8)
        checked_split(f"{self.name} ({split})", no_pixels, labels, self.classes)  # checks the labels
        channels = self.shape[-1] if self.shape[-1] in (1, 3) else 3
        rows = np.arange(len(labels))
        return EncodedSplit(read, rows, labels.astype(np.int32), self.size or self.shape[:2], channels, name_of)

    def examples(self, split: str, decoders) -> tf.data.Dataset:
        """Return the images and labels of one data split as a `tf.data.Dataset`, in the same order on every machine.

        Other features are in it if `keys` has them.
        """
        import tensorflow_datasets as tfds

        # Parallel reading would make the order depend on the machine, and with it the image that an index means.
        read_config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
        try:
            examples = self.builder.as_dataset(
                split=split, shuffle_files=False, decoders=decoders, read_config=read_config
            )
        except NotImplementedError as error:
            raise UserError(
                f"--dataset={self.name} is prepared in a file format that cannot be streamed: {error} Prepare it in "
                "TFDS's default format, tfrecord."
            ) from None
        return examples.map(lambda example: {key: example[key] for key in self.keys})

    def check_count(self, count: int, info):
        """Raise `UserError` if the number of examples in a data split contradicts the TensorFlow Datasets metadata."""
        if count != info.num_examples:
            raise UserError(
                f"--dataset={self.name}: its {info.name} split should have {info.num_examples:,} examples; "
                f"{'at least ' if count > info.num_examples else ''}{count:,} were found in {self.builder.data_dir}. "
                "Delete that folder and prepare the data set again."
            )
