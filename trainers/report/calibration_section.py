"""Section of a training report that plots accuracy against confidence, to show the calibration."""

import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay

from ..evaluation.calibration import Calibration
from .figures import BLUE, ORANGE, png, style_axes
from .page import Picture, Section
from .run_record import RunRecord

_BAR_WIDTH = 0.92  # of a bin


def calibration_section(record: RunRecord) -> Section | None:
    """Return the training report section that plots accuracy against confidence, to show the calibration.

    None for images with two labels.
    """
    if record.predictions.labels.ndim > 1:
        return None
    calibration = Calibration.from_scores(record.predictions.lengths, record.predictions.labels)
    return Section(
        "Calibration",
        texts=[
            "Test images by the score of the predicted class (its capsule's length; of networks without capsules its "
            "probability), read as the probability that the prediction is right. "
            f"Expected calibration error: {calibration.expected_error:.2%}."
        ],
        pictures=[Picture(draw_calibration(calibration), "Accuracy and number of images against confidence")],
    )


def draw_calibration(calibration: Calibration) -> str:
    """Draw a reliability diagram and a histogram of a classifier's confidence.

    Returns:
        PNG, base64.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    diagram, histogram = figure.subplots(1, 2)
    edges = np.linspace(0, 1, len(calibration.counts) + 1)
    centres, width = (edges[:-1] + edges[1:]) / 2, _BAR_WIDTH * edges[1]
    diagram.bar(centres[calibration.counts > 0], calibration.accuracy, width, color=BLUE, label="accuracy")
    CalibrationDisplay(calibration.accuracy, calibration.confidence, y_prob=None).plot(
        ax=diagram, name="(mean confidence, accuracy)", linestyle="none", marker="o", markersize=4, color=ORANGE
    )
    diagram.get_legend().remove()  # it would cover bars; the figure's legend is below them
    diagram.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    histogram.bar(centres, calibration.counts, width, color=BLUE)
    histogram.set(ylabel="test images", xlim=(0, 1))
    for axes in (diagram, histogram):
        axes.set_xlabel("confidence (score of the predicted class)")
        style_axes(axes)
    figure.legend(*diagram.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return png(figure)
