"""Folder of an export: one export at a time, whatever killed processes left; class names are no Markdown."""

import errno
import os
from unittest import mock

import pytest
from encapnet_tf.export.artefacts import documents
from encapnet_tf.export.artefacts.export_folder import ExportFolder
from encapnet_tf.trainers.runs.errors import UserError


def publish(folder, text):
    with ExportFolder(folder, "digits").draft() as draft:
        draft.write_text(ExportFolder.parity_file, text)
        draft.saved_model.mkdir(parents=True)
        (draft.saved_model / "saved_model.pb").write_text(text)
        return draft.publish()


def test_of_two_exports_at_once_the_first_wins_whole(tmp_path):
    with ExportFolder(tmp_path, "digits").draft() as first:
        with pytest.raises(UserError, match="is being written by process"):
            publish(tmp_path, "second")
        first.write_text(ExportFolder.parity_file, "first")
        first.saved_model.mkdir(parents=True)
        path = first.publish()
    assert (path / ExportFolder.parity_file).read_text() == "first"
    assert ExportFolder.versions(path) == [1]
    publish(tmp_path, "third")
    assert (path / ExportFolder.parity_file).read_text() == "third"
    assert (path / "saved_model" / "2" / "saved_model.pb").read_text() == "third"


def test_drafts_of_killed_processes_are_removed(tmp_path):
    (tmp_path / "digits" / ".draft-0123").mkdir(parents=True)
    path = publish(tmp_path, "new")
    assert not list(path.glob(".draft*"))


def test_a_full_disk_leaves_the_earlier_export(tmp_path):
    path = publish(tmp_path, "earlier")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch("os.fsync", side_effect=full), pytest.raises(OSError, match="No space"):
        publish(tmp_path, "new")
    assert sorted(entry.name for entry in path.iterdir()) == [".lock", "parity.json", "saved_model"]
    assert (path / ExportFolder.parity_file).read_text() == "earlier"
    assert ExportFolder.versions(path) == [1]


def test_names_of_folders_that_are_no_versions(tmp_path):
    for name in ("1", "²", "٣", "9" * 200, "x", "-1"):
        (tmp_path / "saved_model" / name).mkdir(parents=True)
    assert ExportFolder.versions(tmp_path) == [1]


def test_the_model_card_escapes_names():
    metadata = {
        "name": "digits",
        "version": 1,
        "created": "today",
        "source": "<b>runs</b>",
        "parameters": {"trained": 1, "exported": 1, "feedback_units": 0, "decoder": 0},
        "class_names": ["[click](http://x)", "<script>", "a|b\x1b[31m", "plain"],
        "image": {"seen": [8, 8, 1]},
        "outputs": ["lengths"],
        "calibration_error": None,
        "about": {"data": "*d*", "facts": {"run": "![x](y)", "command": "`encapnet `rm``"}},
    }
    card = documents.model_card(metadata, {"images": 1, "rows": []})
    for text in ("[click]", "<script>", "<b>", "\x1b", "](y)", "`rm`"):
        assert text not in card
    assert "plain" in card
    assert "\\<script\\>" in card
    assert "`encapnet 'rm`" in card
