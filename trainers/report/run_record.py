"""Results of a finished training run, loaded from files for the HTML report."""

from dataclasses import dataclass, field

from ..evaluation.predictions import Predictions
from ..evaluation.reconstructions import Reconstructions
from ..runs.run_directory import RunDirectory


@dataclass(frozen=True)
class RunRecord:
    """Configuration, metrics per epoch, summary and test predictions of a finished training run.

    Attributes:
        config: contents of config.json: the configuration and the circumstances of the run.
        metrics: rows of metrics.jsonl, one per epoch.
        summary: contents of summary.json.
        predictions: on the test images.
        robustness: contents of robustness.json, disturbance -> run -> accuracies; empty if they were not measured.
        agreement: rows of agreement.jsonl, on the capsules' agreement at some epochs; empty for networks without
            capsules.
        reconstructions: of some test images; None for networks without a decoder.
    """

    config: dict
    metrics: list[dict]
    summary: dict
    predictions: Predictions
    robustness: dict = field(default_factory=dict)
    agreement: list[dict] = field(default_factory=list)
    reconstructions: Reconstructions | None = None

    @classmethod
    def read(cls, run: RunDirectory, summary: dict) -> "RunRecord":
        """Read the configuration, metrics and predictions of a finished training run from files.

        The summary is an argument, because summary.json is written last.

        Raises:
            UserError: one is missing or damaged.
        """
        has_robustness = run.file(RunDirectory.robustness_file).exists()
        has_agreement = run.file(RunDirectory.agreement_file).exists()
        reconstructions = run.file(RunDirectory.reconstructions_file)
        return cls(
            config=run.read_json(RunDirectory.config_file, "config"),
            metrics=run.read_json_lines(RunDirectory.metrics_file),
            summary=summary,
            predictions=Predictions.load(run.file(RunDirectory.predictions_file)),
            robustness=run.read_json(RunDirectory.robustness_file) if has_robustness else {},
            agreement=run.read_json_lines(RunDirectory.agreement_file) if has_agreement else [],
            reconstructions=Reconstructions.load(reconstructions) if reconstructions.exists() else None,
        )

    @property
    def data_name(self) -> str:
        """Name of the data set or image folder of a training run, such as "digits" or "photos"."""
        return data_name(self.config["config"], self.summary)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of the integer labels."""
        return self.summary["class_names"]


def data_name(settings: dict, summary: dict) -> str:
    """Return the name of the data set or image folder that a training run used.

    Args:
        settings: the object "config" of config.json.
        summary: contents of summary.json.
    """
    return summary.get("data_name") or settings.get("dataset", "")  # version 0.1 wrote no name
