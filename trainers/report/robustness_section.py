"""Section of the training report that plots the accuracy on perturbed images, such as rotated or noisy ones."""

import math

import numpy as np
from matplotlib.figure import Figure

from ..evaluation.robustness import DISTURBANCES
from .figures import png, show_literally, style_axes
from .page import Picture, Section
from .run_record import RunRecord


def robustness_section(record: RunRecord) -> Section | None:
    """Return a report section that plots the accuracy under image perturbations, or None if it was not measured.

    `encapnet evaluate` measures the accuracies.
    """
    if not record.robustness:
        return None
    return Section(
        "Robustness",
        texts=[
            "Accuracy on test images that were rotated, shifted, or changed by the fast gradient sign attack, against "
            "the size of the disturbance. Networks were not trained on the attack."
        ],
        pictures=[Picture(_draw_accuracies(record.robustness), "Accuracy against the size of each disturbance")],
    )


def _draw_accuracies(curves: dict) -> str:
    """Draw the accuracy of several models as a function of the strength of image perturbations.

    Args:
        curves: name of a disturbance -> name of a run -> accuracies.
    """
    columns = min(3, len(curves))
    rows = math.ceil(len(curves) / columns)
    figure = Figure(figsize=(max(5, 3.6 * columns), 3.8 * rows), layout="constrained")
    plots = np.ravel(figure.subplots(rows, columns, sharey=True))
    for axes in plots[len(curves) :]:
        axes.set_visible(False)
    lines = {}  # by run, which has the same colour in every plot
    for axes, (name, runs) in zip(plots, curves.items(), strict=False):
        disturbance = DISTURBANCES[name]
        for number, (run, accuracies) in enumerate(runs.items()):
            (lines[run],) = axes.plot(disturbance.sizes, accuracies, marker="o", markersize=4, color=f"C{number}")
        axes.set(xlabel=f"{disturbance.title} ({disturbance.unit})", ylim=(0, 1))
        style_axes(axes)
    plots[0].set_ylabel("test accuracy")
    show_literally(figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=3, frameon=False))
    return png(figure)
