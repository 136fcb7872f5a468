"""Warnings that the accuracies of a training run are unreliable, for example because of few test images."""

import math

_FEW_TEST_IMAGES = 100  # 10 points of uncertainty
_FAR_APART = 0.1  # training and validation accuracy


def caveats(summary: dict) -> list[str]:
    """Return warnings for a training run if the network overfits or if there are few test images.

    Args:
        summary: contents of summary.json. A run of an earlier version, without a training accuracy, is not said to
            overfit.
    """
    sentences = []
    training, validation = summary.get("training_accuracy"), summary["validation_accuracy"]
    noise = 2 * math.sqrt(validation * (1 - validation) / summary["validation_images"])  # two standard errors
    if training is not None and training - validation > max(_FAR_APART, noise):
        sentences.append(
            f"The network overfits: its accuracy is {training:.0%} on training images and {validation:.0%} on "
            "validation images; more images help, or a stronger --augment."
        )
    images = summary["test_images"]
    if images < _FEW_TEST_IMAGES:
        points = 100 / math.sqrt(images)  # two standard errors of an accuracy of one half, the least certain
        sentences.append(f"The test accuracy is uncertain, by up to {points:.0f} points: there are few test images.")
    return sentences
