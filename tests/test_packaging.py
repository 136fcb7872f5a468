"""The wheel: built, installed in a folder of its own and run outside the checkout."""

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {"encapnet_tf": "encapnet_tf", "trainers": "encapnet_tf/trainers", "export": "encapnet_tf/export"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    skip = shutil.ignore_patterns(".git", ".venv", "runs", "results", "tests", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "source", ignore=skip)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, "./source"]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_one_name_on_the_top_level(wheel):
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"encapnet_tf"}


def test_every_source_file_is_in_the_wheel(wheel):
    """A package that setup.cfg forgets would only be missed by the user."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".html", ".css", ".typed", ".md", ".yaml", ".config"):
                assert f"{inside}/{path.relative_to(ROOT / folder).as_posix()}" in names


def test_the_wheel_trains_outside_the_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import sys, encapnet_tf; from encapnet_tf.trainers import cli; "
        f"assert encapnet_tf.__file__.startswith({str(site)!r}) and cli.__file__.startswith({str(site)!r}); cli.main()"
    )
    flags = ["--run_dir=run", "--epochs=1", "--num_capsules=2", "--depths=0", "--capsule_dims=2", "--strides=2"]
    process = subprocess.run(
        [sys.executable, "-c", code, "train", *flags],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "run" / "summary.json").exists()


def test_tensorflow_addons_is_explained_not_required():
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    settings = configparser.ConfigParser()
    settings.read_string(text)
    required = settings["options"]["install_requires"] + "".join(settings["options.extras_require"].values())
    assert "tensorflow-addons" not in required
    assert "tensorflow-addons" in text
    assert "tensorflow-addons" in (ROOT / "README.md").read_text(encoding="utf-8")
