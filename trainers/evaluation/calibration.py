"""Calibration: whether a capsule of length 0.8 is right in 80 % of the cases."""

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Confidence against accuracy, by bins of confidence.

    Confidence is the score of the predicted class: the length of its capsule, which is no probability but is read as
    one. Lengths of all classes need not sum to 1.

    Attributes:
        confidence, accuracy: (bins,) means of the images in each bin; NaN where there are none.
        counts: (bins,) number of images.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, scores, labels, bins: int = BINS) -> "Calibration":
        """Bins predictions.

        Args:
            scores: (n, classes), each from 0 to 1.
            labels: (n,) integers.
            bins: number of bins of equal width between 0 and 1.
        """
        confidence = np.clip(scores.max(axis=1), 0, 1).astype(np.float64)
        right = scores.argmax(axis=1) == labels
        index = np.minimum((confidence * bins).astype(int), bins - 1)
        counts = np.bincount(index, minlength=bins)
        with np.errstate(invalid="ignore"):
            means = [np.bincount(index, values, minlength=bins) / counts for values in (confidence, right)]
        return cls(*means, counts)

    @property
    def expected_error(self) -> float:
        """ECE: the mean over images of |accuracy - confidence| of their bin."""
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float((gaps * self.counts).sum() / self.counts.sum())
