"""Random access to single examples in TFRecord files, by an index of byte positions.

Ours, since `tf.data.TFRecordDataset` reads in order only, and TFDS's random access needs another file format than the
one it prepares by default.
"""

import hashlib
import os
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from ....runs.atomic_files import replacing
from ....runs.errors import UserError, root_cause

# A record: its length (8 bytes), a checksum of that (4), the data, a checksum of that (4).
_HEAD_BYTES, _TAIL_BYTES = 12, 4


@dataclass(frozen=True)
class RecordFiles:
    """Set of TFRecord files with random access to every serialized example.

    Attributes:
        files: the files' paths.
        file: (n,) index into `files` of each record's file.
        offset: (n,) position of each record's data in its file, in bytes.
        length: (n,) size of each record's data, in bytes.
    """

    files: tuple[str, ...]
    file: np.ndarray
    offset: np.ndarray
    length: np.ndarray

    @classmethod
    def index_files(cls, name: str, paths) -> "RecordFiles":
        """Find the byte position of every example in TFRecord files, without reading the examples.

        Args:
            name: of the data set, for error messages.
            paths: the TFRecord files.

        Raises:
            UserError: a file is no TFRecord file, or is truncated.
        """
        files = tuple(str(path) for path in paths)
        if other_files := [path for path in files if ".tfrecord" not in Path(path).name]:
            raise UserError(
                f"--dataset={name} is too large for --cache_gib and not in TFRecord files ({other_files[0]}). "
                "Prepare it in TFDS's default format, tfrecord, or set a larger --cache_gib."
            )
        rows = [(i, *position) for i, path in enumerate(files) for position in _record_positions(path)]
        file, offset, length = np.array(rows, np.int64).reshape(-1, 3).T
        return cls(files, file, offset, length)

    def __len__(self):
        return len(self.offset)

    def read(self, index):
        """Look up one serialized example by index in TFRecord files, and verify the checksums of the record.

        Args:
            index: scalar integer tensor.

        Returns:
            Scalar string tensor. Running the graph raises DataLossError where the record is damaged.
        """
        files, file, offset = self._tensors
        # The raw operations begin to read at a position, which `tf.data.TFRecordDataset` has no argument for.
        dataset = tf.raw_ops.TFRecordDatasetV2(
            filenames=files[file[index]][None],
            compression_type="",
            buffer_size=tf.constant(0, tf.int64),
            byte_offsets=offset[index][None] - _HEAD_BYTES,
        )
        output = {"output_types": [tf.string], "output_shapes": [[]]}
        dataset = tf.raw_ops.TakeDataset(input_dataset=dataset, count=tf.constant(1, tf.int64), **output)
        return tf.raw_ops.DatasetToSingleElement(dataset=dataset, **output)[0]

    @cached_property
    def _tensors(self):
        """TFRecord file paths, and each example's file index and byte offset, as constant tensors.

        They are made outside every graph so that graphs share them.
        """
        with tf.init_scope():
            return tf.constant(self.files), tf.constant(self.file), tf.constant(self.offset)

    def read_bytes(self, index: int) -> bytes:
        """Read one serialized example as Python bytes, or raise `UserError` if the TFRecord file is damaged.

        Not for use inside a TensorFlow graph, unlike `read`.

        Raises:
            UserError: the record is damaged.
        """
        try:
            return self.read(index).numpy()
        except tf.errors.OpError as error:
            raise UserError(
                f"{self.name_of(index)} is damaged ({root_cause(error.message)}). Delete the file and prepare the data "
                "set again."
            ) from None

    def name_of(self, index: int) -> str:
        """Return a description of one serialized example for error messages, such as "record 3 of train.tfrecord"."""
        first = int(np.searchsorted(self.file, self.file[index]))
        return f"record {index - first} of {self.files[self.file[index]]}"

    def labels(self, label_of, folder: Path) -> np.ndarray:
        """Return the labels of all examples in the TFRecord files, and cache the labels in a file.

        Without the cache file, or with a damaged one, every record is read once, and the file is written if the folder
        allows it.

        Args:
            label_of: function of a scalar index tensor that returns the record's label; runs inside tf.data.
            folder: of the cache file.

        Returns:
            (n,) integers.
        """
        key = hashlib.sha256(repr((self.files, self.length.tolist())).encode()).hexdigest()[:16]
        cache = folder / f"encapnet_labels_{key}.npy"
        if (labels := _cached_labels(cache, len(self))) is not None:
            return labels
        print(f"Reading the labels of {len(self):,} records in {folder}, once ...", flush=True)
        indices = tf.data.Dataset.range(len(self))
        batches = indices.map(label_of, num_parallel_calls=tf.data.AUTOTUNE).batch(1024)
        labels = np.concatenate(list(batches.as_numpy_iterator())).astype(np.int64)
        try:
            with replacing(cache) as temporary:
                np.save(temporary, np.append(labels, _checksum(labels)))
        except OSError as error:
            print(
                f"The labels cannot be cached in {folder} ({error.strerror}) and will be read again next time.",
                flush=True,
            )
        return labels


def _cached_labels(cache: Path, count: int) -> np.ndarray | None:
    """Return the labels in a cache file, or None if the file is missing or damaged."""
    if not cache.is_file():
        return None
    try:
        content = np.load(cache, allow_pickle=False).astype(np.int64, casting="safe")
        labels, checksum = content[:-1], content[-1]
    except Exception:  # NumPy raises many kinds
        labels, checksum = np.empty(0, np.int64), -1
    if len(labels) == count and checksum == _checksum(labels):
        return labels
    print(f"{cache} is damaged and will be written again.", flush=True)
    return None


def _checksum(labels: np.ndarray) -> int:
    return zlib.crc32(labels.astype("<i8").tobytes())


def _record_positions(path: str) -> list[tuple[int, int]]:
    """Return the byte offset and length of every serialized example in a TFRecord file."""
    try:
        with open(path, "rb") as file:
            size, record_start, positions = os.fstat(file.fileno()).st_size, 0, []
            while record_start < size:
                head = file.read(_HEAD_BYTES)
                length = struct.unpack("<Q", head[:8])[0] if len(head) == _HEAD_BYTES else size
                positions.append((record_start + _HEAD_BYTES, length))
                record_start += _HEAD_BYTES + length + _TAIL_BYTES
                file.seek(min(record_start, size))  # a damaged length may be more than a file position can hold
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    if record_start != size:
        raise UserError(f"{path} is truncated or no TFRecord file. Delete it and prepare the data set again.")
    return positions
