"""The reader of files in tar archives: it reads regular files only, within bounds, and writes nothing."""

import gzip
import io
import tarfile
import tracemalloc

import pytest
from encapnet_tf.trainers.data.formats import archive
from encapnet_tf.trainers.data.formats.archive import read_archive
from encapnet_tf.trainers.runs.errors import UserError

from tests.trainers.data.original_files import write_archive

FILES = {"train": b"a" * 5000, "test": bytes(range(256)) * 9}


@pytest.mark.parametrize("inside", ["cifar-100-python", ".", "../../../outside", "/outside"])
def test_reads_without_writing(tmp_path, inside):
    write_archive(tmp_path / "x.tar.gz", {**FILES, "file.txt~": b"", "meta": b""}, inside)
    assert read_archive(tmp_path / "x.tar.gz", FILES) == FILES
    assert [path.name for path in tmp_path.rglob("*")] == ["x.tar.gz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        entry = tarfile.TarInfo("data/train")
        entry.type, entry.linkname = kind, "/etc/passwd"
        file.addfile(entry)
    with pytest.raises(UserError, match=r"x\.tar: its entry data/train is a link or no regular file"):
        read_archive(tmp_path / "x.tar", FILES)


def test_two_files_of_one_name_are_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        for folder in "ab":
            file.addfile(tarfile.TarInfo(f"{folder}/train"), io.BytesIO())
    with pytest.raises(UserError, match=r"x\.tar holds two files named train"):
        read_archive(tmp_path / "x.tar", FILES)


def test_a_missing_file_is_named(tmp_path):
    write_archive(tmp_path / "x.tar.gz", {"train": b""})
    with pytest.raises(UserError, match=r"has no file named test"):
        read_archive(tmp_path / "x.tar.gz", FILES)


def _wrong_bit(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:5],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: _wrong_bit(data, len(data) - 7),  # of the checksum
        lambda data: b"no archive" * 100,
        lambda data: gzip.compress(b"no archive" * 100),
    ],
    ids=["empty", "header cut", "half", "last byte", "checksum", "text", "compressed text"],
)
def test_a_damaged_archive_is_refused(tmp_path, change):
    path = tmp_path / "x.tar.gz"
    write_archive(path, FILES)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=r"x\.tar\.gz is damaged, truncated or no tar archive|x\.tar\.gz has no file"):
        read_archive(path, FILES)


@pytest.mark.parametrize("bomb", ["train", "other", "header"])
def test_an_archive_that_expands_too_far_is_refused(tmp_path, monkeypatch, bomb):
    monkeypatch.setattr(archive, "_LARGEST", 1 << 21)
    zeros = bytes(16 << 20)
    if bomb == "header":
        with tarfile.open(tmp_path / "x.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as file:
            entry = tarfile.TarInfo("train")
            entry.pax_headers = {"comment": "0" * len(zeros)}
            file.addfile(entry, io.BytesIO())
    else:
        write_archive(tmp_path / "x.tar.gz", {bomb: zeros})
    tracemalloc.start()
    with pytest.raises(UserError, match=r"holds more than 2 MiB"):
        read_archive(tmp_path / "x.tar.gz", FILES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_missing_archive(tmp_path):
    with pytest.raises(UserError, match=r"Cannot read .*No such file"):
        read_archive(tmp_path / "absent.tar", FILES)
