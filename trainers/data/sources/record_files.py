"""Random access to TFRecord files: where each record lies, found once by walking the lengths."""

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from ...runs.errors import UserError

# A record: its length (8 bytes), a checksum of that (4), the data, a checksum of that (4).
_HEAD, _TAIL = 12, 4


@dataclass(frozen=True)
class RecordFiles:
    """The records of several TFRecord files, one after another.

    Attributes:
        files: the files' paths.
        file: (n,) index of each record's file.
        offset, length: (n,) where each record's data begins in its file, and its bytes.
    """

    files: tuple[str, ...]
    file: np.ndarray
    offset: np.ndarray
    length: np.ndarray

    @classmethod
    def of(cls, name: str, paths) -> "RecordFiles":
        """Indexes files; reads only the 8 bytes of each record's length.

        Raises:
            UserError: a file is no TFRecord file, or is truncated.
        """
        files = tuple(str(path) for path in paths)
        if wrong := [path for path in files if ".tfrecord" not in Path(path).name]:
            raise UserError(
                f"--dataset={name} is too large for memory and not in TFRecord files ({wrong[0]}): prepare it with "
                "TFDS's default format, tfrecord, or say a larger --cache_gib."
            )
        rows = [(i, *place) for i, path in enumerate(files) for place in _places(path)]
        table = np.array(rows, np.int64).reshape(-1, 3)
        return cls(files, table[:, 0], table[:, 1], table[:, 2])

    def __len__(self):
        return len(self.offset)

    def read(self, index):
        """The bytes of a record; runs inside tf.data.

        Args:
            index: scalar integer tensor.

        Returns:
            Scalar string tensor.
        """
        data = tf.numpy_function(self._read, (index,), tf.string, stateful=False)
        return tf.ensure_shape(data, ())

    def _read(self, index):
        handle = os.open(self.files[self.file[index]], os.O_RDONLY)
        try:
            return np.array(os.pread(handle, self.length[index], self.offset[index]), dtype=object)
        finally:
            os.close(handle)

    def name_of(self, index: int) -> str:
        first = int(np.searchsorted(self.file, self.file[index]))
        return f"record {index - first} of {self.files[self.file[index]]}"

    def labels(self, label_of, folder: Path) -> np.ndarray:
        """All records' labels. Reading them means reading everything once, so they are kept beside the data.

        Args:
            label_of: scalar tensor, an index -> its label; runs inside tf.data.
            folder: where to keep them, if it can be written to.

        Returns:
            (n,) integers.
        """
        key = hashlib.sha256(repr((self.files, self.length.tolist())).encode()).hexdigest()[:16]
        kept = folder / f"encapnet_labels_{key}.npy"
        if kept.is_file():
            return np.load(kept, allow_pickle=False)
        print(f"Reading the labels of {len(self):,} records in {folder}, once ...", flush=True)
        indices = tf.data.Dataset.range(len(self))
        each = indices.map(label_of, num_parallel_calls=tf.data.AUTOTUNE).batch(1024)
        labels = np.concatenate(list(each.as_numpy_iterator()))
        try:
            temporary = kept.with_suffix(f".{os.getpid()}.npy")
            np.save(temporary, labels)
            os.replace(temporary, kept)
        except OSError as error:
            print(f"They cannot be kept in {folder} ({error.strerror}) and will be read again next time.", flush=True)
        return labels


def _places(path):
    """(offset, length) of each record of a file."""
    try:
        with open(path, "rb") as file:
            size, at, places = os.fstat(file.fileno()).st_size, 0, []
            while at < size:
                head = file.read(_HEAD)
                length = struct.unpack("<Q", head[:8])[0] if len(head) == _HEAD else size
                places.append((at + _HEAD, length))
                at += _HEAD + length + _TAIL
                file.seek(min(at, size))  # a damaged length can be more than a file may hold
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    if at != size:
        raise UserError(f"{path} is truncated or no TFRecord file. Delete it and prepare the data set again.")
    return places
