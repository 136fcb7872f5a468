"""The folder of a run: created once, never overwritten, every file whole or absent."""

import json
import re
from datetime import datetime
from pathlib import Path

from .durable import replacing
from .errors import UserError
from .lock import locked

_NAME = re.compile(r"[A-Za-z0-9._-]+")


class RunDirectory:
    """Files of a run. summary.json is written last, so its presence means that the run is complete.

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
    lock_file = "lock"
    checkpoints_folder = "checkpoints"
    robustness_file = "robustness.json"  # written by `encapnet evaluate`
    failed_file = "failed.json"  # of an ablation: why the run failed
    record_file = "record.json"  # of a search: how a trial went
    same_file = "same.json"  # of an ablation: which run stands for this one

    def __init__(self, path):
        self.path = Path(path)

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

    def file(self, name: str) -> Path:
        return self.path / name

    def locked(self):
        """Context in which no other process writes this run."""
        return locked(self.file(self.lock_file))

    def replacing(self, name: str):
        """Context that gives a temporary sibling's path to write to; it takes the name when the block ends well."""
        return replacing(self.file(name))

    def write_text(self, name: str, text: str):
        with self.replacing(name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def write_json(self, name: str, value):
        self.write_text(name, json.dumps(value, indent=2) + "\n")

    def write_json_lines(self, name: str, rows):
        self.write_text(name, "".join(json.dumps(row) + "\n" for row in rows))

    def read_json(self, name: str, *keys: str) -> dict:
        """Reads a JSON file of the run.

        Args:
            name: the file.
            *keys: what it must hold.

        Raises:
            UserError: it is missing or damaged, or lacks a key.
        """
        values = self._read(name, json.loads)
        missing = [key for key in keys if key not in values] if isinstance(values, dict) else ["everything"]
        if missing:
            raise UserError(f"{self.file(name)} is damaged: it lacks {', '.join(missing)}.")
        return values

    def read_json_lines(self, name: str) -> list:
        return self._read(name, lambda text: [json.loads(line) for line in text.splitlines()])

    def _read(self, name, parse):
        try:
            return parse(self.file(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.file(name)} is missing from the run.") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self.file(name)} cannot be read: {error}.") from None


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
