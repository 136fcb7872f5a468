"""A saved model with the images to judge it on: a run's own, or those that are named beside a model file."""

from pathlib import Path

from .config import Config
from .errors import UserError
from .recipes import resolve
from .run_directory import RunDirectory


def model_and_data(path, recipe, overrides: dict):
    """Loads both and checks that they fit.

    Args:
        path: a finished run's folder, or a `.keras` file of any classifier that takes pixels from 0 to 255.
        recipe: whose data to take; None takes the run's own.
        overrides: data settings given beside it.

    Returns:
        The model and the `Dataset`.

    Raises:
        UserError: there is no such model, the data is missing, or they do not fit.
    """
    from . import data
    from .predictions import saved_model

    path = Path(path)
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
    expected, found = model.input_shape[1:], dataset.image_shape
    if any(n not in (None, own) for n, own in zip(expected, found, strict=True)):
        raise UserError(f"{path} takes images of {expected}, the data has {found}. Say --image_size={expected[0]}.")
    classes, names = model.output_shape[1:], dataset.class_names
    if classes != (len(names),):
        raise UserError(f"{path} gives scores of shape {classes}, for {len(names)} classes.")
    return model, dataset
