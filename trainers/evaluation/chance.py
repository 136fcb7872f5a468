"""Comparison of a classifier's accuracy with the accuracy of always guessing the most frequent class."""

import math
from collections import Counter


def guessing_limit(labels) -> float:
    """Return the highest accuracy that is not significantly better than always guessing the most frequent class.

    Of images with two labels the most frequent pair counts. The limit is the share p plus two binomial standard errors
    sqrt(p (1 - p) / n), at most 1.

    Args:
        labels: (n,) integers, or (n, 2) for pairs, the true classes of the images that the accuracy is measured on.
    """
    answers = (tuple(sorted(map(int, label))) if hasattr(label, "__len__") else int(label) for label in labels)
    share = max(Counter(answers).values()) / len(labels)
    return min(1.0, share + 2 * math.sqrt(share * (1 - share) / len(labels)))


def is_guessing(accuracy: float, limit: float | None) -> bool:
    """Return whether an accuracy is not significantly better than guessing the most frequent class.

    False if that limit is None, as in the files of version 0.1.
    """
    return limit is not None and accuracy <= limit
