"""Paths that users name: one sentence for each kind that cannot be one."""

import os
from types import SimpleNamespace

import pytest
from encapnet_tf.trainers.runs.atomic_folder import is_locked, locked
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.path_arguments import ANY, FILE, FOLDER, NEW_FILE, NEW_FOLDER, check_path
from encapnet_tf.trainers.runs.text_files import read_text


@pytest.mark.parametrize("use", [FILE, FOLDER, ANY, NEW_FILE, NEW_FOLDER])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the path is empty"),
        ("   ", "the path is empty"),
        ("a" * 300, "the path is too long"),
        ("a/" * 3000, "the path is too long"),
        ("é" * 130, "the path is too long"),
        ("a\nb", "has control characters"),
        ("\x1b[31m", "has control characters"),
        ("a\0b", "has control characters"),
        ("a\udcff", "is not valid UTF-8"),
        ("file/b", "a part of it is a file and no folder"),
        ("circle/b", "symbolic links form a circle"),
    ],
)
def test_what_no_path_can_be(text, message, use, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(UserError, match=message) as error:
        check_path("--out", text, use)
    assert error.value.status == 2
    assert len(str(error.value)) < 500


def test_what_is_of_another_kind(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for use, path, message in [
        (FILE, tmp_path, "this is a folder. Expected a file"),
        (NEW_FILE, tmp_path, "this is a folder"),
        (FOLDER, tmp_path / "file", "this is no folder"),
        (NEW_FOLDER, tmp_path / "file", "this is no folder"),
        (FILE, tmp_path / "pipe", "a device or a pipe"),
        (ANY, "/dev/zero", "a device or a pipe"),
        (NEW_FILE, "/proc/none/page.html", "no permission|cannot be created|nothing can be created"),
    ]:
        if os.geteuid() == 0 and str(path).startswith("/proc/"):  # access control does not hold for the superuser
            continue
        with pytest.raises(UserError, match=message):
            check_path("--out", str(path), use)


def test_a_read_only_file_system_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(UserError, match=f"{tmp_path} is in a read-only file system"):
        check_path("--out", str(tmp_path / "new" / "page.html"), NEW_FILE)


def test_paths_that_are_accepted(tmp_path):
    (tmp_path / "file").touch()
    for use, name in [
        (FILE, "file"),
        (FILE, "not there"),
        (ANY, ""),
        (FOLDER, "."),
        (NEW_FILE, "file"),
        (NEW_FILE, "a new/folder/ärger-文.html"),
        (NEW_FOLDER, "new/folder"),
    ]:
        assert check_path(None, f"{tmp_path}/{name}", use) == f"{tmp_path}/{name}"


def test_devices_and_pipes_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(OSError, match="a device or a pipe"):
            read_text(path)
    read_end, write_end = os.pipe()
    os.write(write_end, b"of a shell")
    os.close(write_end)
    assert read_text(f"/dev/fd/{read_end}") == "of a shell"
    os.close(read_end)


def test_a_lock_is_a_file_of_its_own(tmp_path):
    """The target of a link would be emptied, and a pipe would wait for ever."""
    (tmp_path / "precious").write_text("data")
    (tmp_path / "lock").symlink_to("precious")
    with pytest.raises(UserError, match="is a symbolic link and no lock file"), locked(tmp_path / "lock"):
        pass
    assert (tmp_path / "precious").read_text() == "data"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is no regular file"), locked(tmp_path / "pipe"):
        pass
    assert not is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "pipe")
