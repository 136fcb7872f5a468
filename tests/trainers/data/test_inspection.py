"""The labels below the samples of `encapnet data check`."""

import numpy as np
import pytest
from encapnet_tf.trainers.data.inspection import _describe_label

NAMES = ("cat", "African hunting dog", "Tibetan_terrier_and_more_of_it")


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (np.int32(0), "cat"),
        (np.int32(1), "African\nhunting dog"),
        (np.array([0.25, 0.75, 0.0]), "African … 75%\ncat 25%"),
        (np.array([0.001, 0.0, 0.999]), "Tibetan_… 100%"),
    ],
)
def test_a_class_or_the_classes_of_a_mixed_image(label, text):
    assert _describe_label(label, NAMES, 14) == text


def test_a_long_name_is_two_lines_and_says_that_it_is_cut():
    lines = _describe_label(2, NAMES, 14).splitlines()
    assert [len(line) <= 14 for line in lines] == [True, True]
    assert lines[-1].endswith("…")
