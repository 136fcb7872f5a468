"""Measurement of how well a classifier's confidence matches its accuracy (calibration)."""

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Mean confidence and accuracy of a classifier in confidence bins of equal width.

    Confidence is the score of the predicted class. For a capsule network this is the length of its capsule, which is no
    probability (the lengths of all classes need not sum to 1) but is read as one.

    Attributes:
        confidence, accuracy: (bins that have images,) means over the images of each bin.
        counts: (bins,) number of images in each bin.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray

    @classmethod
    def from_scores(cls, scores, labels, bins: int = BINS) -> "Calibration":
        """Compute the calibration of a classifier from its class scores and the true labels.

        The bins are those of the score of the predicted class.

        Args:
            scores: (n, classes), each from 0 to 1; larger ones count as 1.
            labels: (n,) integers.
            bins: number of bins between 0 and 1.
        """
        from sklearn.calibration import calibration_curve

        confidence = np.clip(scores.max(axis=1), 0, 1).astype(np.float64)
        correct = scores.argmax(axis=1) == labels
        accuracy, mean_confidence = calibration_curve(correct, confidence, pos_label=True, n_bins=bins)
        # scikit-learn returns no counts. Its bins include their upper edge, and so must these.
        bin_of_image = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
        return cls(mean_confidence, accuracy, np.bincount(bin_of_image, minlength=bins))

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean difference between accuracy and confidence over confidence bins.

        The differences are absolute values, weighted by the number of images in the bin. Ours, since scikit-learn
        has no such metric.
        """
        counts = self.counts[self.counts > 0]
        return float((np.abs(self.accuracy - self.confidence) * counts).sum() / counts.sum())
