"""The folder of a run: created once, never overwritten, every file whole or absent."""

import re
from datetime import datetime
from pathlib import Path

from .atomic_folder import AtomicFolder
from .errors import UserError

_NAME = re.compile(r"[A-Za-z0-9._-]+")


class RunDirectory(AtomicFolder):
    """The folder of a run and the names of its files. summary.json is written last, so its presence means that the run is complete.

    Args:
        path: an existing folder; `create` makes a new one.
    """

    config_file = "config.json"
    metrics_file = "metrics.jsonl"
    agreement_file = "agreement.jsonl"
    best_model_file = "best.keras"
    final_model_file = "final.keras"
    predictions_file = "predictions.npz"
    report_file = "report.html"
    summary_file = "summary.json"
    checkpoints_folder = "checkpoints"
    robustness_file = "robustness.json"  # written by `encapnet evaluate`

    @classmethod
    def create(cls, recipe: str, path=None) -> "RunDirectory":
        """Makes the folder `path`, or `runs/<recipe>/<time>`.

        Raises:
            UserError: the folder exists already, its name is not allowed, or it cannot be made.
        """
        if path is not None:
            path = Path(path)
            _check_name(path.name)
            _make(path)
            return cls(path)
        parent = Path("runs") / recipe
        now = datetime.now().strftime("%Y%m%d-%H%M%S")
        for name in (now, *(f"{now}-{n}" for n in range(2, 100))):
            if not (parent / name).exists():
                try:
                    _make(parent / name)
                    return cls(parent / name)
                except _Exists:
                    continue
        raise UserError(f"There are too many runs named {now} in {parent}.")

    @classmethod
    def open(cls, path) -> "RunDirectory":
        """Opens a complete run.

        Raises:
            UserError: there is no run in this folder, or it did not finish.
        """
        run = cls._with_configuration(path)
        if not (run.path / cls.summary_file).is_file():
            raise UserError(
                f"The run at {path} did not finish: it has no {cls.summary_file}. `encapnet train --resume={path}` "
                "goes on with it."
            )
        return run

    @classmethod
    def unfinished(cls, path) -> "RunDirectory":
        """Opens a run that was cut off.

        Raises:
            UserError: there is no run in this folder, or it is complete.
        """
        run = cls._with_configuration(path)
        if (run.path / cls.summary_file).is_file():
            raise UserError(f"The run at {path} is complete: there is nothing to go on with.")
        return run

    @classmethod
    def _with_configuration(cls, path):
        run = cls(path)
        if not (run.path / cls.config_file).is_file():
            raise UserError(
                f"There is no run at {path}: no {cls.config_file} in it. A run is a folder that `encapnet train` made, "
                "such as runs/digits/20261122-182440."
            )
        return run


class _Exists(UserError):
    pass


def _check_name(name):
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise UserError(f"A run folder's name may have letters, digits, '.', '_' and '-' only. Received: {name!r}.")


def _make(path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()  # exclusive: of two processes, one gets it
    except OSError as error:
        if isinstance(error, FileExistsError) and path.parent.is_dir():
            raise _Exists(f"{path} exists already; runs are never overwritten. Choose another --run_dir.") from None
        raise UserError(f"Cannot make the run folder {path}: {error.strerror}.") from None
