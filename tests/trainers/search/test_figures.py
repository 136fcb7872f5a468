"""Colours of a search's pictures."""

import numpy as np
import pytest
from encapnet_tf.trainers.search.figures import _colours


@pytest.mark.parametrize(
    ("values", "objective", "span"),
    [
        ([97.1, 97.3], "val_accuracy", 5),
        ([60, np.nan, 90], "val_accuracy", 30),
        ([0.99, 1.01], "val_loss", 0.2),
        ([0.5, 1.5], "val_loss", 1),
        ([0.0, 0.0], "val_loss", 2),
    ],
)
def test_nearly_equal_trials_have_nearly_equal_colours(values, objective, span):
    colours = _colours(values, objective)
    assert colours["vmax"] - colours["vmin"] == pytest.approx(span)
    assert colours["vmin"] <= np.nanmin(values) <= np.nanmax(values) <= colours["vmax"]
