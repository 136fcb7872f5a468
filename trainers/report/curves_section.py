"""Section of the training report that plots loss and accuracy over the epochs."""

from matplotlib.figure import Figure

from .figures import GREY, TRAINING_COLOUR, VALIDATION_COLOUR, epoch_marker, png, style_epoch_axes
from .page import Picture, Section
from .run_record import RunRecord


def curves_section(record: RunRecord) -> Section:
    """Return the training report section with curves of loss and accuracy over the epochs."""
    picture = _draw_curves(record.metrics, record.summary["best_epoch"])
    return Section("Loss and accuracy", pictures=[Picture(picture, "Loss and accuracy against the epoch")])


def _draw_curves(metrics: list[dict], best_epoch: int) -> str:
    """Draw training and validation curves of loss and accuracy, and mark the best epoch."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    epochs = [row["epoch"] for row in metrics]
    marker = epoch_marker(epochs)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        training, validation = ([row[key] for row in metrics] for key in (name, f"val_{name}"))
        axes.plot(epochs, training, color=TRAINING_COLOUR, marker=marker, label="training")
        axes.plot(epochs, validation, color=VALIDATION_COLOUR, marker=marker, label="validation")
        axes.axvline(best_epoch, color=GREY, linestyle=":", label="best epoch")
        axes.set_ylabel(name)
        style_epoch_axes(axes)
        axes.legend(frameon=False)
    return png(figure)
