"""The conditions of a benchmark run: hardware, package versions, command and commit."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

PACKAGES = (
    "encapnet_tf",
    "keras",
    "tensorflow",
    "jax",
    "jaxlib",
    "torch",
    "ott-jax",
    "geomloss",
    "POT",
    "numpy",
)


def conditions():
    """Return the conditions of this benchmark run (hardware, versions, command, commit) as a dictionary.

    It is JSON-ready, and has the machine's load too.
    """
    return {
        "command": " ".join(["python -m", _module(), *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_average_at_start": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


def _module():
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec else Path(sys.argv[0]).name


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit():
    """Return the short hash of the checked-out Git commit, or None outside of a checkout.

    "+ changes" follows if the working tree is dirty.
    """

    def git(*arguments):
        folder = Path(__file__).parents[1]
        process = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
        return process.stdout.strip() if process.returncode == 0 else None

    try:
        commit = git("rev-parse", "--short", "HEAD")
        return commit and commit + (" + changes" if git("status", "--porcelain", "--", "../encapnet_tf", ".") else "")
    except FileNotFoundError:
        return None
