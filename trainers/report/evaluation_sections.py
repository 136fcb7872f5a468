"""The report's sections on how far predictions can be trusted: per class, calibrated, and under disturbance."""

import numpy as np

from ..evaluation.calibration import Calibration
from . import evaluation_figures as figures
from .run_record import RunRecord
from .section import Picture, Section

_MOST_CLASSES = 40  # shown one by one; of more, the hardest


def per_class(record: RunRecord) -> Section:
    counts, accuracy = record.predictions.confusion(), record.predictions.per_class()
    order = np.argsort(np.nan_to_num(accuracy, nan=2.0), kind="stable")[:_MOST_CLASSES]
    rows = [
        (record.class_names[i], f"{accuracy[i]:.2%} of {counts[i].sum():,}", f"predicted {counts[:, i].sum():,} times")
        for i in order
        if counts[i].sum()
    ]
    return Section("Accuracy per class", texts=["Test images, the hardest class first."], table=rows)


def calibration(record: RunRecord) -> Section:
    bins = Calibration.of(record.predictions.lengths, record.predictions.labels)
    return Section(
        "Calibration",
        texts=[
            "Test images by the score of the predicted class (its capsule's length; of networks without capsules its "
            "probability), read as the probability that the prediction is right. "
            f"Expected calibration error: {bins.expected_error:.2%}."
        ],
        pictures=[Picture(figures.reliability(bins), "Accuracy against confidence, and how many images have it")],
    )


def robustness(record: RunRecord) -> Section | None:
    if not record.robustness:
        return None
    return Section(
        "Robustness",
        texts=[
            "Accuracy on test images that were rotated, shifted, or changed by the fast gradient sign attack, against "
            "the size of the disturbance. Networks were not trained on the attack."
        ],
        pictures=[Picture(figures.robustness(record.robustness), "Accuracy against the size of each disturbance")],
    )
