"""The commands `encapnet export` and `encapnet predict` in processes, as a user types them."""

import subprocess
import sys

from encapnet_tf.trainers.data.datasets import digits

from tests.export.image_bytes import encoded

COMMAND = "from encapnet_tf.trainers.commands.cli import main; main()"


def encapnet(*arguments, cwd, code=COMMAND):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_export_and_predict(exported, tmp_path):
    process = encapnet("export", exported.run, "--tflite=float32", "--images=20", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "on 20 images" in process.stdout
    assert "SavedModel, C API, serve_bytes" in process.stdout
    assert "next:    encapnet predict exports/digits IMAGE.png" in process.stdout
    (tmp_path / "a.png").write_bytes(encoded(digits(None, None).test.images[0, ..., 0]))
    process = encapnet("predict", "exports/digits", "a.png", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("a.png  ")


def test_wrong_input_is_no_traceback(tmp_path):
    for arguments in (["export", "nowhere"], ["predict", "nowhere", "a.png"], ["export", "x", "--tflites=int8"]):
        process = encapnet(*arguments, cwd=tmp_path)
        assert process.returncode == 2
        assert f"encapnet {arguments[0]}: " in process.stderr
        assert "Traceback" not in process.stderr


def test_training_loads_no_export(tmp_path):
    code = (
        "import sys; from encapnet_tf.trainers.commands import cli; cli._parse(['encapnet', 'train']); "
        "print([name for name in sys.modules if name.startswith('encapnet_tf.export')])"
    )
    process = encapnet(cwd=tmp_path, code=code)
    assert process.stdout.strip() == "[]", process.stderr
