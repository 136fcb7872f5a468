"""The command from its start module: what is imported when, and Ctrl-C before there is anything to save."""

import os
import subprocess
import sys

import keras
import pytest

import encapnet_tf as en
from tests.trainers.listing.run_files import write_run

# Runs the command, presses Ctrl-C when the module of the first argument is looked for, and prints what is imported.
PROGRAM = """
import atexit, os, signal, sys

class PressCtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            os.kill(os.getpid(), signal.SIGINT)

moment = sys.argv.pop(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
sys.meta_path.insert(0, PressCtrlC())
if not moment:
    atexit.register(lambda: print(*sys.modules))
sys.argv[0] = "encapnet"
from encapnet_start import main
main()
"""
HEAVY = {"keras", "tensorflow", "sklearn", "matplotlib", "numpy", "keras_tuner", "PIL"}
LINES = [
    *(["--help"], ["--version"], ["trian"], []),
    *([verb, "--help"] for verb in ("train", "evaluate", "tune", "ablate", "report", "runs", "export", "predict")),
    *(["data", action, "--help"] for action in ("check", "prepare", "h_imagenet", "hardest")),
    *(
        ["train", "--lr=1"],
        ["train", "--epochs=0"],
        ["train", "--config=nowhere"],
        ["evaluate"],
        ["data", "chekc"],
    ),
    *(["evaluate", "nowhere"], ["export", "nowhere"], ["report", "nowhere"], ["runs", "nowhere"]),
    *(["predict", "nowhere", "."], ["predict", "nowhere", "*.nothing"], ["tune", "--search=lamda"]),
]


def run(moment, *arguments, cwd):
    command = [sys.executable, "-c", PROGRAM, moment, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=200)


@pytest.mark.parametrize("arguments", LINES, ids=" ".join)
def test_help_and_mistakes_import_no_library(arguments, tmp_path):
    process = run("", *arguments, cwd=tmp_path)
    is_help = {"--help", "--version"} & set(arguments)
    assert process.returncode == (0 if is_help else 2), process.stderr
    assert "Traceback" not in process.stderr
    imported = process.stdout.splitlines()[-1].split()
    assert "encapnet_tf.trainers.commands.cli" in imported
    assert HEAVY & set(imported) == set()


def test_runs_are_listed_without_a_library(tmp_path):
    """Of a finished and an unfinished run, in every format."""
    write_run(tmp_path / "runs" / "digits" / "first", summary={})
    write_run(tmp_path / "runs" / "digits" / "second", epochs=(0.5,), seed=1)
    for format in ("text", "csv", "json"):
        process = run("", "runs", f"--format={format}", cwd=tmp_path)
        assert (process.returncode, process.stderr) == (0, "")
        assert "runs/digits/second" in process.stdout
        assert HEAVY & set(process.stdout.splitlines()[-1].split()) == set()


@pytest.mark.parametrize(
    "moment",
    [
        "encapnet_tf.trainers.commands.cli",
        "keras",
        pytest.param("tensorflow.python.ops.math_ops", marks=pytest.mark.ci),
    ],
)
def test_ctrl_c_during_the_start(moment, tmp_path):
    process = run(moment, "train", cwd=tmp_path)
    assert (process.returncode, process.stdout, process.stderr) == (130, "", "Interrupted.\n")


@pytest.mark.ci
def test_ctrl_c_before_the_training(tmp_path):
    process = run("encapnet_tf.trainers.fitting.train", "train", cwd=tmp_path)
    assert (process.returncode, process.stdout, process.stderr) == (130, "", "encapnet train: interrupted.\n")


@pytest.mark.parametrize("module", ["encapnet_tf", "encapnet_start"])
def test_the_packages_run_as_programs(module, tmp_path):
    command = [sys.executable, "-m", module, "--version"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith("encapnet_tf ")


@pytest.mark.ci
def test_the_package_is_executed_once_and_as_a_whole(tmp_path):
    """The start module's way leads to what a plain import makes of the package.

    A plain import registers the layers with Keras, and prepares nothing for the command, even in a program of its name.
    """
    model = keras.Sequential([keras.Input((4,)), en.layers.Squash(2)])
    model.save(tmp_path / "model.keras")
    plain = """
import os, sys, encapnet_tf, encapnet_tf.trainers, keras
assert not {"KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL"} & set(os.environ)
model = keras.saving.load_model(sys.argv[1])
assert type(model.layers[-1]) is encapnet_tf.layers.Squash
print(*vars(encapnet_tf))
"""
    deferred = """
import sys
from encapnet_start.deferred_package import DeferredPackage
package = DeferredPackage("encapnet_tf")
import encapnet_tf.trainers.config.schema
assert not hasattr(encapnet_tf, "layers")
package.execute()
layers = encapnet_tf.layers
package.execute()
DeferredPackage("encapnet_tf").execute()
assert layers is encapnet_tf.layers
assert sorted(vars(encapnet_tf)) == sorted(sys.argv[1:])
"""
    _run_script(
        tmp_path / "deferred", deferred, *_run_script(tmp_path / "encapnet", plain, tmp_path / "model.keras").split()
    )


def _run_script(path, program, *arguments):
    """Run a program in a fresh process, where it must succeed, and return its output."""
    path.write_text(program)
    removed = ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in removed}
    command = [sys.executable, path, *arguments]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert process.returncode == 0, process.stderr
    return process.stdout
