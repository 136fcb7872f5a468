"""The classes that a model gets wrong most often: how the paper chose h-ImageNet's from a ResNet-18."""

import numpy as np

from ..runs.errors import UserError
from .model_and_data import model_and_data
from .predictions import PREDICT_BATCH


def hardest_classes(model_path, recipe, overrides: dict, count: int) -> list:
    """Ranks classes by a model's accuracy on the test images (ImageNet's validation images).

    Args:
        model_path: a finished run's folder, or a `.keras` file of any classifier that takes pixels from 0 to 255.
        recipe: whose data to judge on; None takes the run's own.
        overrides: data settings given beside it.
        count: how many classes to return; fewer where there are fewer.

    Returns:
        (class name, accuracy), hardest first; of equals the one that comes first.

    Raises:
        UserError: there is no such model, or it does not fit the data.
    """
    from .. import data
    from ..data.pipeline.batches import evaluation_batches

    if count < 1:
        raise UserError(f"--classes={count}: expected at least 1.")
    model, dataset = model_and_data(model_path, recipe, overrides)
    with data.corrupt_image_as_user_error(dataset.test):
        scores = model.predict(evaluation_batches(dataset.test, PREDICT_BATCH, dataset.views.test), verbose=0)
    right = scores.argmax(axis=1) == dataset.test.labels
    images = np.bincount(dataset.test.labels, minlength=len(dataset.class_names))
    accuracy = np.bincount(dataset.test.labels, right, minlength=len(images)) / np.maximum(1, images)
    order = [i for i in np.argsort(accuracy, kind="stable") if images[i]]
    return [(dataset.class_names[i], float(accuracy[i])) for i in order[:count]]
