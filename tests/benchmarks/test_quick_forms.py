"""The quick form of every benchmark runs, in this process, and writes its report."""

import json

import pytest

from benchmarks import gpu
from benchmarks.all import NAMES, OTHERS, run_quickly
from benchmarks.harness.arguments import RESULTS
from benchmarks.harness.contestant import Contestant, Timing
from benchmarks.harness.processes import ONE_PROCESS, ROOT
from benchmarks.harness.timing import measure
from tests.backends import interpreter, run_on

CONTESTANTS = {
    "grouped_conv": {"ours", "native", "depthwise", "PyTorch NCHW", "copy"},
    "dense_conv": {"ours", "native", "pads inside", "patches XLA", "copy"},
}


@pytest.mark.ci
@pytest.mark.parametrize("name", NAMES + OTHERS)
def test_quick_form(name, tmp_path):
    run_quickly(name, tmp_path)
    (file,) = tmp_path.glob("*.json")
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["tables"]
    assert report["date"]
    assert report["commit"]
    timed = [result for case in report["cases"] for result in case["results"].values() if "median" in result]
    assert timed or not report["cases"]
    for case in report["cases"]:
        assert all(("reason" in result) != ("median" in result) for result in case["results"].values())
        assert CONTESTANTS.get(name, set()) <= set(case["results"])
    assert "--quick" in file.with_suffix(".md").read_text(encoding="utf-8")


def test_every_command_has_its_place():
    """A new benchmark is added to the lists of `benchmarks.all`, and so to this file."""
    files = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "benchmarks/training").glob("*.py")]
    commands = {path for path in files if '__name__ == "__main__"' in path.read_text(encoding="utf-8")}
    names = {".".join(path.relative_to(ROOT / "benchmarks").with_suffix("").parts) for path in commands}
    assert names == {*NAMES, *OTHERS, "all"}


def test_all_work_in_one_process(monkeypatch):
    monkeypatch.setenv(ONE_PROCESS, "1")
    other = {"KERAS_BACKEND": "another"}
    results = measure(
        [
            Contestant("here", "tests.benchmarks.toys:sleeper", {"seconds": 0.0}),
            Contestant("raises", "tests.benchmarks.toys:fails_later"),
            Contestant("elsewhere", "tests.benchmarks.toys:sleeper", {"seconds": 0.0}, environment=other),
        ],
        rounds=2,
    )
    assert isinstance(results["here"], Timing)
    assert results["raises"].reason == "ValueError: what happened"
    assert "another needs a process of its own" in results["elsewhere"].reason


def test_nothing_is_measured_without_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv(ONE_PROCESS, "1")
    with pytest.raises(SystemExit, match=r"sees no GPU, only .*Try --quick"):
        gpu.main(["--out", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
    assert not (RESULTS / "gpu_quick.json").exists()


@pytest.mark.slow
def test_gpu_on_jax_without_tensorflow(tmp_path):
    """The benchmark for GPUs runs where TensorFlow is not installed; tiny sizes on a CPU."""
    interpreter("jax")
    hidden = "import runpy, sys; sys.modules['tensorflow'] = None; sys.argv = ['gpu', '--quick', '--out', '.']"
    program = f"{hidden}; runpy.run_module('benchmarks.gpu', run_name='__main__')"
    printed = run_on("jax", ["-c", program], tmp_path, BENCHMARKS_HIDDEN_PACKAGES="tensorflow")
    report = json.loads((tmp_path / "gpu_quick.json").read_text(encoding="utf-8"))
    assert report["device"] == "cpu"
    assert not [result for case in report["cases"] for result in case["results"].values() if "reason" in result]
    assert len(report["tables"]) == 4
    assert "left out" not in printed
