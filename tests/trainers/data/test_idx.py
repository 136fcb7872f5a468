"""The reader of IDX files, on whole, damaged and truncated ones."""

import gzip
import tracemalloc

import numpy as np
import pytest
from encapnet_tf.trainers.data.formats.idx import read_idx
from encapnet_tf.trainers.runs.errors import UserError

from tests.trainers.data.idx_files import idx_bytes

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def _write(path, data):
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture(params=["data", "data.gz"])
def path(request, tmp_path):
    return tmp_path / request.param


def test_reads_what_was_written(path):
    np.testing.assert_array_equal(read_idx(_write(path, idx_bytes(IMAGES)), ndim=3), IMAGES)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (idx_bytes(IMAGES)[:9], "within its header"),
        (idx_bytes(IMAGES)[:-1], "promises 24 bytes"),
        (idx_bytes(IMAGES) + b"x", "promises 24 bytes"),
        (idx_bytes(IMAGES[0]), "no IDX file of unsigned bytes in 3 dimensions"),
        (b"\x89PNG" + idx_bytes(IMAGES), "no IDX file"),
        (bytes((0, 0, 8, 3)) + bytes(12), "is empty: its header gives"),
    ],
    ids=["empty", "header cut", "data cut", "data left over", "labels for images", "another format", "no images"],
)
def test_refuses(path, data, message):
    with pytest.raises(UserError, match=message) as caught:
        read_idx(_write(path, data), ndim=3)
    assert path.name in str(caught.value)


def test_a_header_that_promises_too_much_takes_no_memory(path):
    """200 GB promised: refused by the file's size, or for gzip by what deflate can hold at most."""
    huge = bytes((0, 0, 8, 3)) + (50_000).to_bytes(4, "big") + (2_000).to_bytes(4, "big") * 2
    _write(path, huge + bytes(1000))
    tracemalloc.start()
    with pytest.raises(UserError, match="200,000,000,000 bytes"):
        read_idx(path, ndim=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_damaged_gzip(tmp_path):
    path = tmp_path / "data.gz"
    whole = gzip.compress(idx_bytes(np.random.default_rng(0).integers(0, 256, (50, 8, 8))))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged or truncated"):
        read_idx(path, ndim=3)
    path.write_bytes(b"no gzip at all")
    with pytest.raises(UserError, match="no IDX file"):
        read_idx(path, ndim=3)


def test_missing(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_idx(tmp_path / "absent", ndim=1)
