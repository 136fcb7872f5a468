"""Tests that the code on the page "Export and serve" runs, without this library where the page says so."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests.docs.pages import ROOT, blocks
from tests.export.verification_in_process import verify_in_this_process
from tests.trainers.data.image_bytes import encoded

pytestmark = pytest.mark.ci

PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
EXPORTING, *USING = blocks(PAGE, "python")
(PROGRAM,) = blocks(PAGE, "c")
BLOCK_IMPORTS = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "encapnet_tf":
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, Blocker())
"""
PRINT = """
import json
print(json.dumps({name: [list(value.shape), str(value.dtype)] for name, value in globals().items()
                  if name in ("lengths", "capsules", "quantised")} | {"scores": np.array(lengths).tolist()}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with exports/digits, made by the first block of the page, and image.png, a digit."""
    folder = tmp_path_factory.mktemp("export_page")
    with pytest.MonkeyPatch.context() as patch:
        verify_in_this_process(patch)
        patch.chdir(folder)
        exec(compile(EXPORTING, "docs/export.md", "exec"), {"__name__": "__main__"})
    (folder / "image.png").write_bytes(encoded((16 * load_digits().images[3]).clip(0, 255).astype("uint8")))
    return folder


@pytest.fixture(scope="module")
def scores(folder):
    """Return the scores of image.png by the SavedModel, and the variables of the page's programs after their blocks."""
    program = (
        BLOCK_IMPORTS
        + USING[0]
        + "\nimport json\nprint(json.dumps([outputs['lengths'].numpy().tolist(), label, names]))"
    )
    lengths, label, names = json.loads(_run(program, folder))
    assert np.shape(lengths) == (1, 10)
    assert label == np.argmax(lengths)
    assert names == list("0123456789")
    return lengths


def _run(program, folder):
    process = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()[-1]


def test_the_blocks_are_those_expected():
    assert len(USING) == 3
    assert "export_model" in EXPORTING
    assert not any("encapnet_tf" in code for code in (*USING, PROGRAM))


def test_saved_model_and_tflite(folder, scores):
    answer = json.loads(_run(BLOCK_IMPORTS + USING[1] + PRINT, folder))
    assert (answer["lengths"], answer["capsules"]) == ([[1, 10], "float32"], [[1, 10, 4], "float32"])
    np.testing.assert_allclose(answer["scores"], scores, atol=1e-4)


def test_int8(folder, scores):
    answer = json.loads(_run(BLOCK_IMPORTS + USING[1] + USING[2] + PRINT, folder))
    assert answer["quantised"] == [[1, 8, 8, 1], "int8"]
    np.testing.assert_allclose(answer["scores"], scores, atol=0.1)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_c_program(folder, scores):
    (folder / "score.c").write_text(PROGRAM)
    (folder / "pixels.txt").write_text(
        " ".join(str(value) for value in (16 * load_digits().images[3]).clip(0, 255).ravel())
    )
    (commands,) = [code for code in blocks(PAGE, "sh") if "gcc" in code]
    commands = commands.replace("$(python ", f"$({sys.executable} ").replace("gcc ", "gcc -Wall -Werror ")
    process = subprocess.run(["bash", "-ec", commands], cwd=folder, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    np.testing.assert_allclose([float(line) for line in process.stdout.split()], scores[0], atol=1e-5)


def test_tensors_of_the_c_program(folder):
    contents = json.loads((folder / "exports" / "digits" / "parity.json").read_text())["contents"]["saved_model"]
    names = re.findall(r'TF_GraphOperationByName\(graph, "(\w+)"\), (\d)', PROGRAM)
    expected = [contents["inputs"]["serving_default"]["images"], contents["outputs"]["serving_default"]["lengths"]]
    assert [f"{operation}:{index}" for operation, index in names] == expected
