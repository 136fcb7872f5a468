"""Sentences on how far a run's accuracies can be trusted."""

import pytest
from encapnet_tf.trainers.evaluation.caveats import caveats

SUMMARY = {"training_accuracy": 0.99, "validation_accuracy": 0.98, "validation_images": 144, "test_images": 360}


def test_nothing_is_said_of_a_sound_run():
    assert caveats(SUMMARY) == []
    earlier = {**SUMMARY, "validation_accuracy": 0.5}
    del earlier["training_accuracy"]
    assert caveats(earlier) == [], "version 0.1 wrote no training accuracy"


def test_an_overfitting_run_with_few_test_images():
    overfits, uncertain = caveats({**SUMMARY, "validation_accuracy": 0.58, "test_images": 24})
    assert "overfits: its accuracy is 99% on training images and 58% on validation images" in overfits
    assert "by up to 20 points" in uncertain


@pytest.mark.parametrize(("images", "says"), [(20, 0), (2000, 1)])
def test_a_gap_that_chance_explains_is_no_overfitting(images, says):
    """Two standard errors of 0.8 are 0.18 with 20 images."""
    summary = {**SUMMARY, "training_accuracy": 0.95, "validation_accuracy": 0.8, "validation_images": images}
    assert len(caveats(summary)) == says
