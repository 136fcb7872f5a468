"""The examples, in their short forms."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from tests.core.conformance.test_backends import interpreter

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def run(name, folder, monkeypatch, capsys):
    """Run an example in its short form, in this process, and return its output."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [name, "--quick"])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.ci
def test_capsules_in_your_own_cnn(tmp_path, monkeypatch, capsys):
    output = run("capsules_in_your_own_cnn.py", tmp_path, monkeypatch, capsys)
    assert output.count("test accuracy") == 2


@pytest.mark.ci
def test_regularise_resnet50(tmp_path, monkeypatch, capsys):
    output = run("regularise_resnet50.py", tmp_path, monkeypatch, capsys)
    assert "feedback_conv3_block4_out_conv2_block3_out" in output
    assert (tmp_path / "resnet50.keras").exists()


@pytest.mark.ci
def test_sinkhorn_loss_without_capsules(tmp_path, monkeypatch, capsys):
    output = run("sinkhorn_loss_without_capsules.py", tmp_path, monkeypatch, capsys)
    before, after = map(float, re.search(r"data: ([\d.]+) before, ([\d.]+) after", output).groups())
    assert after < before


@pytest.mark.slow
def test_extractor_collapse(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(matplotlib, "rcParams", matplotlib.rcParams.copy())
    run("extractor_collapse.py", tmp_path, monkeypatch, capsys)
    assert (tmp_path / "extractor_collapse.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_search_lambda_and_epsilon(tmp_path, monkeypatch, capsys):
    output = run("search_lambda_and_epsilon.py", tmp_path, monkeypatch, capsys)
    assert output.count("lambda") == 2
    assert "trained again: test accuracy" in output


@pytest.mark.slow
def test_export_and_serve(tmp_path, monkeypatch, capsys):
    (tmp_path / "exports" / "digits" / "saved_model" / "9").mkdir(parents=True)  # an earlier version
    output = run("export_and_serve.py", tmp_path, monkeypatch, capsys)
    assert float(re.search(r"difference from Keras: (\S+)", output)[1]) <= 1e-5


@pytest.mark.ci
def test_capsules_on_jax(tmp_path):
    command = [interpreter("jax"), EXAMPLES / "capsules_on_jax.py", "--quick"]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-3000:]
    assert "backend jax, test accuracy" in process.stdout


@pytest.mark.ci
def test_notebook(tmp_path, monkeypatch, capsys):
    notebook = json.loads((EXAMPLES / "what_a_capsule_sees.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells), "committed with its outputs"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENCAPNET_QUICK", "1")
    monkeypatch.setattr(matplotlib, "rcParams", matplotlib.rcParams.copy())
    matplotlib.use("Agg")
    names = {"__name__": "__main__"}
    for cell in cells:
        exec(compile("".join(cell["source"]), "what_a_capsule_sees.ipynb", "exec"), names)
    assert "test accuracy" in capsys.readouterr().out
    assert len(names["curves"]) == len(names["angles"])


def test_every_example_is_listed_and_tested():
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".ipynb"):
            assert f"[{path.name}]({path.name})" in listed
            assert path.name in tested
