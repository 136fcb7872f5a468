"""Loader for scikit-learn's handwritten digits, a data set that needs no download."""

import numpy as np

from ..pipeline.dataset import SourceDataset, stratified_split
from ..pipeline.split import checked_split

_TEST_IMAGES = 360
_LARGEST_VALUE = 16  # scikit-learn's pixels are from 0 to 16


def load_digits(config=None, size=None) -> SourceDataset:
    """Load scikit-learn's 1,797 images of handwritten digits, of which 360 are used as a fixed test set.

    Args:
        config, size: not used; every loader is called with them.
    """
    from sklearn import datasets

    digits = datasets.load_digits()
    images = np.round(digits.images * (255 / _LARGEST_VALUE))
    train, test = stratified_split(checked_split("digits", images, digits.target, classes=10), _TEST_IMAGES)
    return SourceDataset(tuple("0123456789"), train, test, mirrors=False, source="scikit-learn")
