"""The classes that a model gets wrong most often: how the paper chose h-ImageNet's from a ResNet-18."""

from pathlib import Path

import numpy as np

from .config import Config
from .errors import UserError
from .recipes import resolve
from .run_directory import RunDirectory
from .train import PREDICT_BATCH


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
    from . import data
    from .data.pipeline import evaluation_batches
    from .predictions import saved_model

    if count < 1:
        raise UserError(f"--classes={count}: expected at least 1.")
    path = Path(model_path)
    if path.is_dir():
        run = RunDirectory.open(path)
        path = run.file(RunDirectory.best_model_file)
        config = Config.from_json(run.read_json(RunDirectory.config_file, "config")["config"])
        config = Config(**{**(resolve(recipe, {}) if recipe else config).__dict__, **overrides})
    elif recipe is None and "dataset" not in overrides:
        raise UserError("Say by --recipe or --dataset which images to judge the model on.")
    else:
        config = resolve(recipe or "digits", {"augment": ("none",), **overrides})
    model = saved_model(path)
    dataset = data.load(config)
    expected, given = model.input_shape[1:], dataset.image_shape
    if any(n not in (None, own) for n, own in zip(expected, given, strict=True)):
        raise UserError(f"{path} takes images of {expected}, the data has {given}. Say --image_size={expected[0]}.")
    with data.naming_corrupt(dataset.test):
        scores = model.predict(evaluation_batches(dataset.test, PREDICT_BATCH, dataset.views.test), verbose=0)
    if scores.shape[1:] != (len(dataset.class_names),):
        raise UserError(f"{path} gives scores of shape {scores.shape[1:]}, for {len(dataset.class_names)} classes.")
    right = scores.argmax(axis=1) == dataset.test.labels
    images = np.bincount(dataset.test.labels, minlength=len(dataset.class_names))
    accuracy = np.bincount(dataset.test.labels, right, minlength=len(images)) / np.maximum(1, images)
    order = [i for i in np.argsort(accuracy, kind="stable") if images[i]]
    return [(dataset.class_names[i], float(accuracy[i])) for i in order[:count]]
