"""Pictures of calibration and robustness."""

import numpy as np
from matplotlib.figure import Figure

from ..evaluation.calibration import Calibration
from ..evaluation.robustness import DISTURBANCES
from .figures import png


def reliability(bins: Calibration) -> str:
    """Accuracy of each bin of confidence beside the diagonal, and the number of images in it.

    Returns:
        PNG, base64.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    diagram, histogram = figure.subplots(1, 2)
    edges = np.linspace(0, 1, len(bins.counts) + 1)
    width = edges[1]
    middles = edges[:-1] + width / 2
    diagram.bar(middles, np.nan_to_num(bins.accuracy), width * 0.92, color="#3b6fb6", label="accuracy")
    diagram.plot((0, 1), (0, 1), color="#8a97a6", linestyle=":", label="calibrated")
    diagram.plot(bins.confidence, bins.accuracy, "o", color="#d1622b", markersize=4, label="mean confidence of the bin")
    diagram.set(xlabel="confidence (score of the predicted class)", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    diagram.legend(frameon=True, loc="upper left", framealpha=0.9)
    histogram.bar(middles, bins.counts, width * 0.92, color="#3b6fb6")
    histogram.set(xlabel="confidence (score of the predicted class)", ylabel="test images", xlim=(0, 1))
    return _finished(figure, (diagram, histogram))


def robustness(curves: dict) -> str:
    """One panel for each disturbance, one line for each network.

    Args:
        curves: name of a disturbance -> name of a run -> accuracies.

    Returns:
        PNG, base64.
    """
    figure = Figure(figsize=(max(5, 3.6 * len(curves)), 3.8), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(curves), sharey=True))
    for axes, (name, runs) in zip(panels, curves.items(), strict=True):
        disturbance = DISTURBANCES[name]
        for number, (run, values) in enumerate(runs.items()):
            axes.plot(disturbance.sizes, values, marker="o", markersize=4, color=f"C{number}", label=run)
        axes.set(xlabel=f"{disturbance.title} ({disturbance.unit})", ylim=(0, 1))
    panels[0].set_ylabel("test accuracy")
    handles = {run: line for axes in panels for line, run in zip(*axes.get_legend_handles_labels(), strict=True)}
    legend = figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return _finished(figure, panels)


def _finished(figure, panels):
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return png(figure)
