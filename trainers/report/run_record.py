"""What a report is made of: the files of a run, read and nothing more."""

from dataclasses import dataclass, field

from ..evaluation.predictions import Predictions
from ..runs.run_directory import RunDirectory


@dataclass(frozen=True)
class RunRecord:
    """A run's configuration and circumstances, its metrics per epoch, its summary, its test predictions, and the
    agreement of its capsules at some epochs (none of a network without capsules)."""

    config: dict
    metrics: list
    summary: dict
    predictions: Predictions
    robustness: dict = field(default_factory=dict)  # disturbance -> run -> accuracies, where they were measured
    agreement: list = field(default_factory=list)

    @classmethod
    def read(cls, run: RunDirectory, summary: dict) -> "RunRecord":
        """Reads a run's files.

        Raises:
            UserError: one is missing or damaged.
        """
        measured = run.file(RunDirectory.robustness_file).exists()
        agreement = run.file(RunDirectory.agreement_file).exists()
        return cls(
            config=run.read_json(RunDirectory.config_file, "config"),
            metrics=run.read_json_lines(RunDirectory.metrics_file),
            summary=summary,
            predictions=Predictions.load(run.file(RunDirectory.predictions_file)),
            robustness=run.read_json(RunDirectory.robustness_file) if measured else {},
            agreement=run.read_json_lines(RunDirectory.agreement_file) if agreement else [],
        )

    @property
    def class_names(self) -> list:
        return self.summary["class_names"]
