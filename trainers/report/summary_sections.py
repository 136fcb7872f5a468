"""Sections of a training run's HTML report that show tables of results and settings."""

from ..evaluation.caveats import caveats
from ..evaluation.chance import is_guessing
from ..runs.counting import counted
from .page import Section
from .run_record import RunRecord


def result_section(record: RunRecord) -> Section:
    """Return a report section with the accuracy, number of parameters and training time of a run."""
    summary = record.summary
    rows = [
        (
            "Test accuracy",
            f"{summary['test_accuracy']:.2%} ({counted(summary['test_errors'], 'error')} in "
            f"{counted(summary['test_images'], 'image')}){_criterion(record)}",
        ),
        *_top_5_row(record),
        (
            "Validation accuracy",
            f"{summary['validation_accuracy']:.2%} ({counted(summary['validation_images'], 'image')} set aside from "
            "the training images)",
        ),
        ("Best epoch", f"{summary['best_epoch']} of {summary['epochs']}, chosen by validation accuracy"),
        *_stopped_early_row(record),
        *_origin_row(record),
        ("Trainable parameters", f"{summary['parameters']:,}"),
        (
            "Training",
            f"{summary['train_seconds']:.0f} s, {summary['images_per_second']:,.0f} images/s, "
            f"{counted(summary['train_images'], 'image')}",
        ),
    ]
    return Section("Result", texts=remarks(summary), table=rows)


def _criterion(record: RunRecord) -> str:
    """Describe in words when the prediction for an image with two labels counts as correct.

    Return "" for images with one label.
    """
    return ": right if both labels are found" if record.predictions.labels.ndim > 1 else ""


def _stopped_early_row(record: RunRecord) -> list[tuple[str, str]]:
    """Return a one-row table with the number of trained epochs and the patience of early stopping.

    The table is empty for a run without early stopping.
    """
    config, summary = record.config["config"], record.summary
    if not (patience := config.get("early_stopping")):
        return []
    epochs = f"{summary['epochs']} of {config['epochs']} epochs were trained"
    return [("Early stopping", f"{epochs}; the limit is {counted(patience, 'epoch')} without a better accuracy")]


def _origin_row(record: RunRecord) -> list[tuple[str, str]]:
    """Return a table row that names the source of a run's initial weights.

    The row is in a list, which is empty if the weights were random.
    """
    if origin := record.config.get("continued_from"):
        return [("Continued", f"from {origin['run']}, which had trained {counted(origin['epoch'], 'epoch')}")]
    if origin := record.config.get("initial_weights"):
        new = f"; new: {', '.join(origin['new_layers'])}" if origin["new_layers"] else ""
        share = f"{origin['loaded_parameters']:,} of {origin['parameters']:,} parameters"
        return [("Initial weights", f"{share} from {origin['file']}{new}")]
    return []


def remarks(summary: dict) -> list[str]:
    """Return warnings about a training run's results, such as signs of overfitting, for the HTML report.

    Args:
        summary: contents of summary.json.
    """
    warning = guessing_warning(summary)
    return [*([warning] if warning else []), *caveats(summary)]


def guessing_warning(summary: dict) -> str | None:
    """Return a warning if the best validation accuracy of a training run is not better than guessing, else None.

    Args:
        summary: contents of summary.json.
    """
    accuracy, limit = summary["validation_accuracy"], summary.get("validation_guessing_limit")
    if not is_guessing(accuracy, limit):
        return None
    answer = "class" if summary.get("labels_per_image", 1) == 1 else "pair of classes"
    return (
        f"The network is not better than guessing: a validation accuracy of up to {limit:.2%} can be had by chance, by "
        f"always answering the most frequent {answer} ({summary['validation_images']:,} images, two standard "
        "errors). Train for more epochs, or with another learning rate."
    )


def _top_5_row(record: RunRecord) -> list[tuple[str, str]]:
    """Return the top-5 accuracy as a one-row table, or an empty table if there are at most five classes."""
    classes = record.predictions.lengths.shape[1]
    return [("Top-5 accuracy", f"{record.predictions.top(5):.2%}")] if classes > 5 else []


def settings_section(record: RunRecord) -> Section:
    """Return the report section that lists a training run's configuration, command line and package versions."""
    circumstances = {key: value for key, value in record.config.items() if key != "config"}
    values = {**record.config["config"], **circumstances}
    return Section("Settings", table=[(key, _as_text(value)) for key, value in values.items() if value is not None])


def _as_text(value) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
