"""The model that an argument names, by what is there, before TensorFlow is imported."""

import pytest
from encapnet_tf.export.artefacts.export_folder import ExportFolder
from encapnet_tf.export.model_source import find_model
from encapnet_tf.trainers.runs.errors import UserError


def make(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


@pytest.mark.parametrize(
    ("files", "argument", "kind"),
    [
        (("run/config.json", "run/summary.json"), "run", "run"),
        (("digits/saved_model/2/saved_model.pb",), "digits", "export"),
        (("digits/saved_model/2/saved_model.pb",), "digits/saved_model/2", "saved_model"),
        (("a.keras",), "a.keras", "keras"),
        (("A.KERAS",), "A.KERAS", "keras"),
        (("digits_int8.tflite",), "digits_int8.tflite", "tflite"),
    ],
)
def test_kinds(tmp_path, files, argument, kind):
    make(tmp_path, *files)
    source = find_model(tmp_path / argument)
    assert (source.kind, source.path) == (kind, tmp_path / argument)


@pytest.mark.parametrize(
    ("files", "argument", "message"),
    [
        ((), "absent.keras", "absent.keras is no model: there is no such file or folder. Expected the folder"),
        (("a.png",), "a.png", "a.png is no model: it is another kind of file"),
        (("photos/a.png",), "photos", "photos is no model: the folder has neither config.json, as a run has, nor"),
        (("run/config.json",), "run", "did not finish"),
    ],
)
def test_what_is_no_model(tmp_path, monkeypatch, files, argument, message):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, *files)
    with pytest.raises(UserError, match=message):
        find_model(argument)


def test_a_run_is_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "runs/digits/first/config.json", "runs/digits/first/summary.json")
    with pytest.raises(UserError, match=r"such as runs/digits/first\.$"):
        find_model("nowhere")


def test_class_names_are_lines(tmp_path):
    """Of which only a line break is the end."""
    (tmp_path / "labels.txt").write_text("a\u2028b\nc d\n", encoding="utf-8")
    assert ExportFolder.class_names(tmp_path) == ["a\u2028b", "c d"]
    (tmp_path / "labels.txt").write_bytes(b"\xff\n")
    with pytest.raises(UserError, match="class names of the export cannot be read"):
        ExportFolder.class_names(tmp_path)
