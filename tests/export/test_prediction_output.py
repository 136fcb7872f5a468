"""Records of predictions as text, CSV and JSON, and the image files that arguments name."""

import csv
import io
import json

import numpy as np
import pytest
from encapnet_tf.export.commands.image_files import expand_patterns, image_files
from encapnet_tf.export.commands.prediction_output import PredictionOutput
from encapnet_tf.trainers.runs.errors import UserError

LENGTHS = np.array([0.1, 0.93, 0.25, 1 / 3], "float32")
NAMES = ["cat", 'big, "bad"\ncat', "dog", "grün"]


def test_text(capsys):
    PredictionOutput("text", NAMES[:1] + ["b", "c", "d"], width=8).print("a.png", LENGTHS)
    PredictionOutput("text", None).print("a.png", LENGTHS)
    assert capsys.readouterr().out == "a.png     b 0.930  d 0.333  c 0.250\na.png  1 0.930  3 0.333  2 0.250\n"


def test_json(capsys):
    output = PredictionOutput("json", NAMES)
    output.print('gr\udcfcn "1".png', LENGTHS)
    output.print("b.png", LENGTHS[::-1].astype("float64"))  # as from a server
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].isascii()
    assert json.loads(lines[0]) == {
        "file": 'gr\udcfcn "1".png',
        "label": 1,
        "class_name": NAMES[1],
        "length": 0.93,
        "lengths": [0.1, 0.93, 0.25, 0.33333334],
    }
    assert json.loads(lines[1])["label"] == 2
    PredictionOutput("json", None).print("a.png", LENGTHS)
    assert json.loads(capsys.readouterr().out)["class_name"] is None


def test_csv(capsys):
    output = PredictionOutput("csv", NAMES)
    for file in ('a, "b".png', "c\nd\r.png"):
        output.print(file, LENGTHS)
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))
    assert rows[0] == ["file", "label", "class_name", "length", *(f"length_{name}" for name in NAMES)]
    assert rows[1] == ['a, "b".png', "1", NAMES[1], "0.93", "0.1", "0.93", "0.25", "0.33333334"]
    assert rows[2][0] == "c\nd\r.png"
    assert len(rows) == 3
    PredictionOutput("csv", ["same", "same", "a", "b"]).print("a.png", LENGTHS)
    header, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header[4:] == [f"length_{i}" for i in range(4)], "columns have different names"
    assert row[2] == "same"


@pytest.mark.parametrize("format", ["text", "csv", "json"])
def test_names_that_do_not_fit(format, capsys):
    with pytest.raises(UserError, match="3 class names for 4 scores"):
        PredictionOutput(format, NAMES[:3]).print("a.png", LENGTHS)
    assert capsys.readouterr().out == ""


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("b.png", "a.JPG", "notes.md", "deep/c.png", "deep/er/d.tif", "[x].png", ".hidden.png", ".trash/e.png")
    for name in (*names, "__MACOSX/f.png", "empty/readme.txt"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("photos/*.png", ["[x].png", "b.png"]),
        ("photos/**/*.png", ["[x].png", "__MACOSX/f.png", "b.png", "deep/c.png"]),
        ("photos/[ab].*", ["a.JPG", "b.png"]),
        ("photos/[x].png", ["[x].png"]),
        ("photos/deep/", ["deep/"]),
        ("photos/de*", ["deep"]),
        ("photos/nowhere.png", ["nowhere.png"]),
    ],
)
def test_patterns(photos, argument, names):
    assert expand_patterns([argument]) == [f"photos/{name}" for name in names]


def test_a_pattern_of_the_home_folder_and_one_that_nothing_matches(photos, monkeypatch):
    monkeypatch.setenv("HOME", str(photos))
    assert expand_patterns(["~/b.*", "photos/b.png"]) == [str(photos / "b.png"), "photos/b.png"]
    with pytest.raises(UserError, match=r"No file matches photos/\*\.gif\."):
        expand_patterns(["photos/b.png", "photos/*.gif"])


def test_folders(photos):
    images = [f"photos/{name}" for name in ("[x].png", "a.JPG", "b.png", "deep/c.png", "deep/er/d.tif")]
    assert image_files(["photos"]) == images
    assert image_files(["photos/b.png", "photos", "photos/notes.md"]) == [
        images[2],
        *images[:2],
        *images[3:],
        "photos/notes.md",
    ]
    with pytest.raises(UserError, match="The folder photos/empty has no images"):
        image_files(["photos/empty"])
