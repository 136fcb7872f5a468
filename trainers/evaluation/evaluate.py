"""Functions that evaluate saved models on a data set, for example by ten-crop accuracy or accuracy per class."""

import numpy as np

from .. import data
from ..config.run_config import read_run_config
from ..data.pipeline.batches import evaluation_batches
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .model_and_data import model_and_data
from .predictions import PREDICT_BATCH, Predictions, many_crop_lengths, saved_model


def run_data(run: RunDirectory) -> data.Dataset:
    """Load the data set that a training run used."""
    return data.load(read_run_config(run))


def evaluate(run: RunDirectory) -> tuple[Predictions, Predictions]:
    """Compute a trained model's predictions on the test images and on the validation images.

    Args:
        run: the run's folder.

    Returns:
        Predictions on the test images, and on the validation images.

    Raises:
        UserError: the run, its model or its data are missing or damaged.
    """
    dataset, model = run_data(run), run.file(RunDirectory.best_model_file)
    test, validation = (
        Predictions.of(model, split, dataset.views, PREDICT_BATCH) for split in (dataset.test, dataset.validation)
    )
    return test, validation


def many_crop_accuracy(run: RunDirectory) -> tuple[float, int]:
    """Compute a trained model's test accuracy with class scores averaged over ten crops of each image.

    Images that training does not mirror have five crops.

    Returns:
        The accuracy and the number of crops.
    """
    dataset = run_data(run)
    model = saved_model(run.file(RunDirectory.best_model_file))
    lengths = many_crop_lengths(model, dataset.test, dataset.views, PREDICT_BATCH)
    return float((lengths.argmax(axis=1) == dataset.test.labels).mean()), dataset.views.num_crops


def hardest_classes(model_path, recipe: str | None, overrides: dict, count: int) -> list[tuple[str, float]]:
    """Return the classes on which a trained model has the lowest test accuracy, in ascending order of accuracy.

    The paper chose the classes of h-ImageNet so, from a ResNet-18's accuracy on ImageNet's validation images.

    Args:
        model_path: folder of a finished run, or a `.keras` file of any classifier that takes pixels from 0 to 255.
        recipe: recipe that names the data set; None takes the run's own.
        overrides: setting -> value that replaces the recipe's, for settings of the data.
        count: number of classes to return; fewer are returned if the data set has fewer.

    Returns:
        (class name, accuracy) pairs. The tie-break is the order of the classes in the data set.

    Raises:
        UserError: there is no such model, or it does not fit the data.
    """
    if count < 1:
        raise UserError(f"--classes={count}: expected at least 1.")
    model, dataset = model_and_data(model_path, recipe, overrides)
    if dataset.labels_per_image > 1:
        raise UserError(
            f"{model_path} was trained on pairs of objects (--compose=overlap), whose classes cannot be judged one by "
            "one. Give --compose=none with a model of single images."
        )
    with data.corrupt_image_as_user_error(dataset.test):
        scores = model.predict(evaluation_batches(dataset.test, PREDICT_BATCH, dataset.views.test), verbose=0)
    correct = scores.argmax(axis=1) == dataset.test.labels
    images = np.bincount(dataset.test.labels, minlength=len(dataset.class_names))
    accuracy = np.bincount(dataset.test.labels, correct, minlength=len(images)) / np.maximum(1, images)
    order = [i for i in np.argsort(accuracy, kind="stable") if images[i]]
    return [(dataset.class_names[i], float(accuracy[i])) for i in order[:count]]
