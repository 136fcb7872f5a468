"""Comparison of a classifier's accuracy with that of guessing."""

import math

import numpy as np


def guessing_limit(labels) -> float:
    """Return the highest accuracy that always guessing the most frequent class is likely to reach.

    It is that class's share p plus two binomial standard errors sqrt(p (1 - p) / n), at most 1.

    Args:
        labels: (n,) integers, the true classes of the images that the accuracy is measured on.
    """
    labels = np.asarray(labels)
    share = np.bincount(labels).max() / len(labels)
    return min(1.0, float(share + 2 * math.sqrt(share * (1 - share) / len(labels))))


def is_guessing(accuracy: float, limit: float | None) -> bool:
    """Return whether an accuracy is at most the result of `guessing_limit`.

    False if that limit is None, as in the files of version 0.1.
    """
    return limit is not None and accuracy <= limit
