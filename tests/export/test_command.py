"""The commands `encapnet export` and `encapnet predict`, as a user types them."""

import json
import shutil
import subprocess
import sys

import pytest
from encapnet_tf.export.artefacts.export_folder import ExportFolder
from encapnet_tf.export.commands import export
from encapnet_tf.trainers.commands import cli
from encapnet_tf.trainers.data.sources.digits import load_digits

from tests.trainers.data.image_bytes import encoded


@pytest.fixture
def encapnet(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command in this process, in an empty folder: (exit status, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["encapnet", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        output = capsys.readouterr()
        return exit.value.code or 0, output.out, output.err

    return run


@pytest.mark.usefixtures("runtimes_in_this_process")
def test_export_of_a_preset(encapnet, tmp_path):
    status, _, errors = encapnet("export", "digits", "--tflite=", "--images=20")
    assert status == 0, errors
    card = (tmp_path / "exports" / "digits" / ExportFolder.card_file).read_text()
    assert "pretrained network: the preset digits of " in card
    assert "accuracy that its card states: 99.72%" in card


@pytest.mark.usefixtures("runtimes_in_this_process")
def test_export_again_and_predict(exported, encapnet, tmp_path):
    """A second export is a second version, whose other files replace those of the first."""
    shutil.copytree(exported.path, tmp_path / "exports" / "digits")
    status, output, errors = encapnet("export", exported.run, "--tflite=float32", "--images=20")
    assert status == 0, errors
    assert output.startswith(f"exporting {exported.run} (SavedModel, TFLite float32), and comparing")
    assert "on 20 images" in output
    assert "SavedModel, C API, serve_bytes" in output
    assert "next:    encapnet predict exports/digits IMAGE.png" in output
    path = tmp_path / "exports" / "digits"
    assert ExportFolder.versions(path) == [1, 2]
    assert ExportFolder.newest(path).name == "2"
    assert json.loads((path / "metadata.json").read_text())["version"] == 2
    assert json.loads((path / "parity.json").read_text())["images"] == 20
    assert [file.name for file in path.glob("*.tflite")] == ["digits.tflite"], "others would be of version 1"
    assert not list(path.glob(".draft*"))

    (tmp_path / "a.png").write_bytes(encoded(load_digits().test.images[0, ..., 0]))
    status, output, errors = encapnet("predict", "exports/digits", "a.png")
    assert status == 0, errors
    assert output.startswith("a.png  ")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/photos/20261122-182440", "photos"),
        ("elsewhere/runs_of_mine/photos/20261122-182440-2", "photos"),
        ("runs/digits/tiny", "digits"),
        ("runs/first", "first"),
        ("runs/photos/20261122-182440/best.keras", "photos"),
        ("runs/first/final.keras", "first"),
        ("models/best.keras", "best"),
        ("models/resnet.keras", "resnet"),
    ],
)
def test_default_names_tell_models_apart(tmp_path, path, name):
    """Whatever recipe a run had: own images are trained by the recipe of other data."""
    path = tmp_path / path
    folder = path.parent if path.suffix else path
    folder.mkdir(parents=True)
    if "runs" in path.parts:
        (folder / "config.json").write_text("{}")
    assert export._default_name(path) == name


@pytest.mark.parametrize(
    "arguments", [["export", "nowhere"], ["predict", "nowhere", "a.png"], ["export", "x", "--tflites=int8"]]
)
def test_wrong_input_is_no_traceback(arguments, encapnet):
    status, _, errors = encapnet(*arguments)
    assert status == 2
    assert f"encapnet {arguments[0]}: " in errors


@pytest.mark.ci
def test_training_loads_no_export(tmp_path):
    code = (
        "import contextlib, sys\n"
        "from encapnet_tf.trainers.commands import cli\n"
        "sys.argv = ['encapnet', 'train', '--help']\n"
        "with contextlib.suppress(SystemExit): cli.main()\n"
        "print([name for name in sys.modules if name.startswith('encapnet_tf.export')])"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "--epochs" in process.stdout
    assert process.stdout.splitlines()[-1] == "[]", process.stderr
