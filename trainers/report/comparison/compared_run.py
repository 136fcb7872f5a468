"""Settings and results of finished training runs that are to be compared."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...evaluation.predictions import Predictions
from ...runs.errors import UserError
from ...runs.run_directory import RunDirectory
from ..run_record import data_name

_SUMMARY_KEYS = ("test_accuracy", "validation_accuracy", "parameters", "train_seconds", "class_names")


@dataclass(frozen=True)
class ComparedRun:
    """Settings and results of a finished training run, for a comparison with other runs.

    Attributes:
        name: the run's folder, as the user named it.
        settings: the object "config" of config.json.
        summary: contents of summary.json.
        metrics: rows of metrics.jsonl, one per epoch; empty if the file cannot be read.
        predictions: on the test images; None if they cannot be read.
        problems: messages about files that cannot be read.
    """

    name: str
    settings: dict
    summary: dict
    metrics: Sequence[dict] = ()
    predictions: Predictions | None = None
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, run: RunDirectory) -> "ComparedRun":
        """Read the settings and results of a finished training run from its folder.

        Runs of earlier versions, and runs whose larger files were deleted, lack some of the results.

        Raises:
            UserError: the settings or the summary are missing or damaged.
        """
        settings = run.read_json(RunDirectory.config_file, "config")["config"]
        summary = run.read_json(RunDirectory.summary_file, *_SUMMARY_KEYS)
        metrics: Sequence[dict] = ()
        predictions, problems = None, []
        try:
            metrics = run.read_json_lines(RunDirectory.metrics_file)
        except UserError as error:
            problems.append(str(error))
        try:
            predictions = _predictions(run, len(summary["class_names"]))
        except UserError as error:
            problems.append(str(error))
        return cls(str(run.path), settings, summary, metrics, predictions, tuple(problems))

    @property
    def data_name(self) -> str:
        """Name of the data set or image folder of a training run, such as "digits" or "photos"."""
        return data_name(self.settings, self.summary)

    @property
    def data(self) -> tuple[str, tuple[str, ...]]:
        """Name and class names of a training run's data set.

        Both are the same for runs whose errors can be compared class by class.
        """
        return self.data_name, tuple(self.summary["class_names"])


def _predictions(run: RunDirectory, classes: int) -> Predictions:
    """Load the test predictions of a training run, and check that they have the expected number of classes.

    Raises:
        UserError: the file is missing or damaged, or has another number of classes.
    """
    path = run.file(RunDirectory.predictions_file)
    if not path.is_file():
        raise UserError(f"{path} is missing.")
    predictions = Predictions.load(path)
    if predictions.lengths.shape[1:] != (classes,):
        raise UserError(f"{path} has scores of shape {predictions.lengths.shape} for {classes} classes.")
    return predictions


def short_names(runs: Sequence[ComparedRun]) -> list[str]:
    """Return the names of training runs, without the leading folders common to all of them."""
    paths = [Path(run.name) for run in runs]
    depths = [len(set(folders)) == 1 for folders in zip(*(path.parent.parts for path in paths), strict=False)]
    shared = len(list(itertools.takewhile(bool, depths)))
    return [str(Path(*path.parts[shared:])) for path in paths]
