"""Random access to single examples in TFRecord files, by an index of byte positions.

Ours, since `tf.data.TFRecordDataset` reads in order only, and TFDS's random access needs another file format than the
one it prepares by default.
"""

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from ...runs.atomic_files import replacing
from ...runs.errors import UserError

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
        """Read a serialized example from TFRecord files by index, and return a scalar string tensor.

        Args:
            index: scalar integer tensor.

        Returns:
            Scalar string tensor.
        """
        data = tf.numpy_function(self._read, (index,), tf.string, stateful=False)
        return tf.ensure_shape(data, ())

    def _read(self, index):
        return np.array(self.read_bytes(index), dtype=object)

    def read_bytes(self, index: int) -> bytes:
        """Return the bytes of the serialized example with a given number, outside TensorFlow."""
        handle = os.open(self.files[self.file[index]], os.O_RDONLY)
        try:
            return os.pread(handle, self.length[index], self.offset[index])
        finally:
            os.close(handle)

    def name_of(self, index: int) -> str:
        """Return a description of one serialized example for error messages, such as "record 3 of train.tfrecord"."""
        first = int(np.searchsorted(self.file, self.file[index]))
        return f"record {index - first} of {self.files[self.file[index]]}"

    def labels(self, label_of, folder: Path) -> np.ndarray:
        """Return the labels of all examples in the TFRecord files, cached in a file after the first call.

        Without the cache file every record is read once, and the file is written if the folder allows it.

        Args:
            label_of: function of a scalar index tensor that returns the record's label; runs inside tf.data.
            folder: of the cache file.

        Returns:
            (n,) integers.
        """
        key = hashlib.sha256(repr((self.files, self.length.tolist())).encode()).hexdigest()[:16]
        cache = folder / f"encapnet_labels_{key}.npy"
        if cache.is_file():
            return np.load(cache, allow_pickle=False)
        print(f"Reading the labels of {len(self):,} records in {folder}, once ...", flush=True)
        indices = tf.data.Dataset.range(len(self))
        batches = indices.map(label_of, num_parallel_calls=tf.data.AUTOTUNE).batch(1024)
        labels = np.concatenate(list(batches.as_numpy_iterator()))
        try:
            with replacing(cache) as temporary:
                np.save(temporary, labels)
        except OSError as error:
            print(
                f"The labels cannot be cached in {folder} ({error.strerror}) and will be read again next time.",
                flush=True,
            )
        return labels


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
