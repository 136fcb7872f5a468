"""Source distribution and wheel: built, installed in a fresh environment and run outside the checkout."""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "encapnet_start": "encapnet_start",
    "encapnet_tf": "encapnet_tf",
    "trainers": "encapnet_tf/trainers",
    "export": "encapnet_tf/export",
}


def run(command, **options):
    """Run a command, which must succeed, and return its output."""
    process = subprocess.run(command, capture_output=True, text=True, **options)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    everywhere = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__")

    def ignore(path, names):
        return everywhere(path, names) | ({"build", "results", "runs", "tests"} if Path(path) == ROOT else set())

    shutil.copytree(ROOT, folder / "source", ignore=ignore)
    run(
        [sys.executable, "-c", "from setuptools.build_meta import build_sdist; build_sdist('..')"],
        cwd=folder / "source",
    )
    (path,) = folder.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """Build the wheel from the source distribution, as pip does for users without wheels."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, sdist], cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Return the scripts folder of a fresh environment with the wheel, which sees this environment's dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", folder])
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    run([sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--no-deps", "--no-index", wheel])
    site = run([scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
    dependencies = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (Path(site) / "dependencies.pth").write_text("\n".join(dependencies))
    return scripts


@pytest.mark.ci
def test_names_on_the_top_level(wheel):
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"encapnet_start", "encapnet_tf"}


@pytest.mark.ci
def test_every_source_file_is_in_the_wheel(wheel):
    """A package missing in setup.cfg would otherwise fail at the user only."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".html", ".css", ".typed", ".md", ".yaml", ".config"):
                assert f"{inside}/{path.relative_to(ROOT / folder).as_posix()}" in names


@pytest.mark.ci
def test_extras(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    extras = re.findall(r"^Provides-Extra: (.+)$", archive.read(metadata).decode(), re.M)
    assert {"gpu", "data", "bench", "docs", "dev"} <= set(extras)


@pytest.mark.ci
def test_every_module_is_imported_outside_the_checkout(environment, tmp_path):
    code = (
        "import importlib, pkgutil, encapnet_tf\n"
        "names = [m.name for m in pkgutil.walk_packages(encapnet_tf.__path__, 'encapnet_tf.')]\n"
        "core = [name for name in names if not name.endswith(('.on_jax', '.on_torch'))]\n"  # perhaps not installed
        "for name in core: importlib.import_module(name)\n"
        "print(len(names), encapnet_tf.__file__)"
    )
    count, file = run([environment / "python", "-c", code], cwd=tmp_path, env=_without_python_path()).split(maxsplit=1)
    assert int(count) > 50
    assert Path(file).is_relative_to(environment.parent)


@pytest.mark.ci
def test_the_command_trains_outside_the_checkout(environment, tmp_path):
    flags = ["--run_dir=run", "--epochs=1", "--num_capsules=2", "--depths=0", "--capsule_dims=2", "--strides=2"]
    command = [environment / "encapnet", "train", *flags]
    process = subprocess.run(command, cwd=tmp_path, env=_without_python_path(), capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, ""), "no line of TensorFlow's log"
    assert (tmp_path / "run" / "summary.json").exists()


def _without_python_path():
    """Return the environment variables without PYTHONPATH, which could lead back to the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_tensorflow_addons_is_explained_not_required():
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    settings = configparser.ConfigParser()
    settings.read_string(text)
    required = settings["options"]["install_requires"] + "".join(settings["options.extras_require"].values())
    assert "tensorflow-addons" not in required
    assert "tensorflow-addons" in text
    assert "tensorflow-addons" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_imported_packages_are_declared():
    """Also those that another requirement happens to install, such as SciPy beside scikit-learn."""
    other_names = {
        "absl": "absl-py",
        "google": "tensorflow",
        "grpc": "grpcio",
        "PIL": "pillow",
        "sklearn": "scikit-learn",
    }
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    text = "\n".join([settings["options"]["install_requires"], *settings["options.extras_require"].values()])
    declared = {name.lower().replace("-", "_") for name in re.findall(r"^([\w-]+)", text, re.M)}
    imported = set()
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "encapnet_start", "encapnet_tf"}
    assert {"keras", "scipy", "sklearn"} <= imported
    assert not {name for name in imported if other_names.get(name, name).lower().replace("-", "_") not in declared}


def test_versions_are_named_alike():
    """The oldest versions are pinned for .ci/run, and README's range is that of setup.cfg."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "-c .ci/oldest.txt" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^(\w+)==([\d.]+)$", (ROOT / ".ci" / "oldest.txt").read_text(encoding="utf-8"), re.M))
    for name, title in (("keras", "Keras"), ("tensorflow", "TensorFlow")):
        pattern = rf"^{name}(?:\[and-cuda\])? >= (\d+)\.(\d+), < (\d+)\.(\d+)$"
        required = re.findall(pattern, settings["options"]["install_requires"], re.M)
        assert len(required) == 1, name
        major, oldest, bound_major, bound = map(int, required[0])
        assert bound_major == major
        assert pins[name] == f"{major}.{oldest}.0"
        assert f"{title} {major}.{oldest} to {major}.{bound - 1}" in readme
        if name == "tensorflow":
            assert re.findall(pattern, settings["options.extras_require"]["gpu"], re.M) == required
        installed = [int(number) for number in re.findall(r"\d+", version(name))[:2]]
        assert [major, oldest] <= installed < [major, bound]
    oldest, bound = re.findall(r"3\.(\d+)", settings["options"]["python_requires"])
    assert f"Python 3.{oldest} to 3.{int(bound) - 1}" in readme
    named = re.findall(r"Python :: 3\.(\d+)", settings["metadata"]["classifiers"])
    assert [int(minor) for minor in named] == list(range(int(oldest), int(bound)))
