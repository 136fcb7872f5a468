"""The examples, in their short forms."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
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


def example(name, monkeypatch):
    """Return the names that an example defines, without running it."""
    monkeypatch.setattr(matplotlib, "rcParams", matplotlib.rcParams.copy())
    return runpy.run_path(str(EXAMPLES / name))


@pytest.mark.ci
def test_point_cloud_flow(tmp_path, monkeypatch, capsys):
    output = run("point_cloud_flow.py", tmp_path, monkeypatch, capsys)
    first, last = map(float, re.search(r"([\d.]+) at the start, ([\d.]+) at the last", output).groups())
    assert last < 0.05 * first
    assert (tmp_path / "point_cloud_flow.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.ci
def test_point_cloud_flow_equals_pot(monkeypatch):
    """POT gives the divergences before the first and the last step, and its plans give the first step."""
    ot = pytest.importorskip("ot")
    names, epsilon = example("point_cloud_flow.py", monkeypatch), 0.05  # POT takes long at a smaller one
    names["flow"].__globals__["EPSILON"] = epsilon
    random = np.random.default_rng(0)
    cloud, target = names["disc"](20, random), names["heart"](30, random)
    (start, moved, last, _), divergences = names["flow"](cloud, target, 4, record=[0, 1, 3])
    np.testing.assert_array_equal(start, cloud)

    def transport(x, y):
        """Return the dual value, <P, Q> + epsilon KL(P | a b'), and the plan."""
        cost = ot.dist(np.float64(x), np.float64(y))
        a, b = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
        plan = ot.sinkhorn(a, b, cost, epsilon, numItermax=5000, stopThr=1e-10)
        return np.sum(plan * (cost + epsilon * np.log(plan / np.outer(a, b)))), plan

    for points, divergence in ((cloud, divergences[0]), (last, divergences[3])):
        values = [transport(*pair)[0] for pair in ((points, target), (points, points), (target, target))]
        assert divergence == pytest.approx(2 * values[0] - values[1] - values[2], rel=1e-3)
    # A point moves by a fifth of the way to the mean of its targets, less what holds it within its own cloud.
    between, within = (transport(cloud, other)[1] @ other * len(cloud) for other in (target, cloud))
    np.testing.assert_allclose(moved - cloud, 0.2 * (between - within), atol=1e-5)


@pytest.mark.ci
def test_colour_transfer(tmp_path, monkeypatch, capsys):
    output = run("colour_transfer.py", tmp_path, monkeypatch, capsys)
    source, target, result = (np.array(json.loads(part)) for part in re.findall(r"\[[^]]*\]", output))
    assert np.abs(result - target).max() < 0.03 < np.abs(source - target).max()
    assert (tmp_path / "colour_transfer.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.ci
def test_colour_transfer_equals_pot(monkeypatch):
    ot = pytest.importorskip("ot")
    names = example("colour_transfer.py", monkeypatch)
    rng = np.random.default_rng(0)
    source, target = rng.random((8, 9, 3)).astype("float32"), 0.5 * rng.random((6, 5, 3)).astype("float32")
    (x, a, index), (y, b, _) = (names["palette"](image, 3) for image in (source, target))
    cost, a, b = ot.dist(np.float64(x), np.float64(y)), np.float64(a) / np.sum(a), np.float64(b) / np.sum(b)
    plan = ot.sinkhorn(a, b, cost, names["EPSILON"] * (a @ cost @ b), numItermax=5000, stopThr=1e-10)
    moved = source.reshape(-1, 3) + (plan @ y / a[:, None] - x)[index]
    expected = np.clip(moved, 0, 1).reshape(source.shape)
    np.testing.assert_allclose(names["transfer"](source, target, 3), expected, atol=1e-3)


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
