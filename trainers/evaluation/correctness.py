"""Functions that check predicted class scores against the one or two labels of each image."""

import numpy as np


def are_correct(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether each image is classified correctly.

    An image with one label is if the label has the highest score, and an image with two labels if both score higher
    than every other class.

    Args:
        scores: (n, classes).
        labels: (n,) or (n, 2) integers.

    Returns:
        (n,) truth values.
    """
    if labels.ndim == 1:
        return scores.argmax(axis=1) == labels
    return lead_of_mistake(scores, labels) < 0


def lead_of_mistake(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the highest score of a wrong class minus the lowest score of a true class, for each image.

    It is negative for a correct classification. See `are_correct` for the arguments.
    """
    is_label = label_matrix(labels, scores.shape[1])
    return np.where(is_label, -np.inf, scores).max(axis=1) - np.where(is_label, scores, np.inf).min(axis=1)


def label_matrix(labels: np.ndarray, classes: int) -> np.ndarray:
    """Convert the one or two labels of each image to a Boolean row with one element per class.

    The array has the shape (images, classes).
    """
    matrix = np.zeros((len(labels), classes), bool)
    np.put_along_axis(matrix, labels.reshape(len(labels), -1).astype(np.int64), True, axis=1)
    return matrix
