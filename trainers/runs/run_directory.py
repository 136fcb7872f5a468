"""Class that creates or opens the folder of a training run."""

import re
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .atomic_folder import AtomicFolder
from .errors import UserError

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_TIME, _TIME_NAME = "%Y%m%d-%H%M%S", re.compile(r"\d{8}-\d{6}(-\d+)?")  # of a run without --run_dir


class RunDirectory(AtomicFolder):
    """Folder of one training run, which holds the configuration, metrics, models, predictions and a report.

    A run is never overwritten. Its summary is written last, so a run with a summary is complete.

    Args:
        path: an existing folder; `create` makes a new one.
    """

    config_file = "config.json"
    metrics_file = "metrics.jsonl"
    agreement_file = "agreement.jsonl"
    best_model_file = "best.keras"
    final_model_file = "final.keras"
    predictions_file = "predictions.npz"
    reconstructions_file = "reconstructions.npz"  # of networks with a decoder
    report_file = "report.html"
    summary_file = "summary.json"
    checkpoints_folder = "checkpoints"
    robustness_file = "robustness.json"  # written by `encapnet evaluate`
    failure_file = "failed.json"  # of a run that failed in an ablation or a search: its reason

    @classmethod
    def create(cls, series: str, path: str | Path | None = None) -> "RunDirectory":
        """Create a new folder for a training run, named after the current time unless a path is given.

        Args:
            series: name of the folder in `runs` for a path that is derived.
            path: the folder; None derives `runs/SERIES/TIME`.

        Raises:
            UserError: the folder exists already, its name is not allowed, or it cannot be created.
        """
        if path is not None:
            path = Path(path)
            _check_name(path.name)
            _make(path)
            return cls(path)
        parent = Path("runs") / series
        now = datetime.now().strftime(_TIME)
        for name in (now, *(f"{now}-{n}" for n in range(2, 100))):
            if not (parent / name).exists():
                try:
                    _make(parent / name)
                    return cls(parent / name)
                except _ExistsError:
                    continue
        raise UserError(f"{parent} already has 99 runs of this second, {now}. Name a folder with --run_dir.")

    @staticmethod
    def is_named_after_time(path: Path) -> bool:
        """Return whether a training run's folder has the default name, which is the start time of the run."""
        return bool(_TIME_NAME.fullmatch(path.name))

    @classmethod
    def open(cls, path: str | Path) -> "RunDirectory":
        """Return an object that reads the folder of a completed training run.

        Raises:
            UserError: there is no run in this folder, or the run did not finish.
        """
        run = cls.existing(path)
        if not run.is_complete:
            raise UserError(
                f"The run at {path} did not finish: it has no {cls.summary_file}. Resume it with "
                f"`encapnet train --resume={path}`."
            )
        return run

    @classmethod
    def unfinished(cls, path: str | Path) -> "RunDirectory":
        """Open the folder of an interrupted training run, to resume the training.

        Raises:
            UserError: there is no run in this folder, or the run is complete.
        """
        run = cls.existing(path, complete=False)
        if run.is_complete:
            raise UserError(f"The run at {path} is complete: there is nothing to resume.")
        return run

    @property
    def is_complete(self) -> bool:
        """True if the training run has been completed.

        The summary file is written last, so its existence shows that the run is complete.
        """
        return self.file(self.summary_file).is_file()

    @classmethod
    def existing(cls, path: str | Path, *, complete: bool = True) -> "RunDirectory":
        """Open the folder of a training run, whether it has finished or not.

        Args:
            path: the folder.
            complete: whether an error message names a complete run as an example, or an incomplete one.

        Raises:
            UserError: there is no run in this folder.
        """
        run = cls(path)
        if not run.file(cls.config_file).is_file():
            raise UserError(
                f"There is no run at {path}: the folder has no {cls.config_file}. Expected a folder that `encapnet "
                f"train` wrote{cls.example(complete=complete)}."
            )
        return run

    @classmethod
    def example(cls, *, complete: bool) -> str:
        """Return an error-message hint that names the folder of the newest training run.

        It is ", such as FOLDER", or "" if there is no run. Only complete runs count, or only incomplete ones.
        """
        files = [file for pattern in ("*", "*/*") for file in Path("runs").glob(f"{pattern}/{cls.config_file}")]
        runs = [cls(file.parent) for file in sorted(files, key=lambda file: file.stat().st_mtime)]
        newest = [run.path for run in runs if run.is_complete == complete][-1:]
        return f", such as {newest[0]}" if newest else ""


class _ExistsError(UserError):
    """Error raised when the folder for a new training run exists already."""


def _check_name(name):
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise UserError(f"A run folder's name may have letters, digits, '.', '_' and '-' only. Received: {name!r}.")


def _make(path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()  # fails if the folder exists, so two processes never share a run
    except OSError as error:
        if isinstance(error, FileExistsError) and path.parent.is_dir():
            raise _ExistsError(
                f"{path} exists already, and runs are never overwritten. Choose another --run_dir."
            ) from None
        raise UserError(f"Cannot create the run folder {path}: {error.strerror}.") from None


def package_versions(*packages: str) -> dict[str, str | None]:
    """Return the versions of the given Python packages as a dictionary, with None for packages not installed."""
    return {package: _version(package) for package in packages}


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None
