"""A saved model with the images to judge it on: a run's own, or those that are named beside a model file."""

from dataclasses import replace
from pathlib import Path

from ..config.recipes import override, resolve
from ..config.schema import Config
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory


def model_and_data(path, recipe, overrides: dict):
    """Loads both and checks that they fit.

    Args:
        path: a finished run's folder, or a `.keras` file of any classifier that takes pixels from 0 to 255.
        recipe: whose data to take; None takes the run's own. What the run's network sees of an image, by its `augment`
            and `image_size`, stays.
        overrides: data settings given beside it.

    Returns:
        The model and the `Dataset`.

    Raises:
        UserError: there is no such model, the data is missing, or they do not fit.
    """
    from .. import data
    from .predictions import saved_model

    path = Path(path)
    if path.is_dir():
        run = RunDirectory.open(path)
        path = run.file(RunDirectory.best_model_file)
        config = Config.from_json(run.read_json(RunDirectory.config_file, "config")["config"])
        if recipe:
            config = replace(resolve(recipe, {}), augment=config.augment, image_size=config.image_size)
        config = override(config, overrides)
    elif not path.is_file():
        raise UserError(
            f"There is no model at {path}: expected a finished run's folder, such as runs/digits/20261122-182440, or a "
            ".keras file."
        )
    elif recipe is None and "dataset" not in overrides:
        raise UserError("Say by --recipe or --dataset which images to judge the model on.")
    else:
        config = resolve(recipe or "digits", {"augment": ("none",), **overrides})
    model = saved_model(path)
    dataset = data.load(config)
    _check_images(path, model, dataset.image_shape)
    classes, names = model.output_shape[1:], dataset.class_names
    if classes != (len(names),):
        raise UserError(f"{path} gives scores of shape {classes}, for {len(names)} classes.")
    return model, dataset


def _check_images(path, model, found):
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise UserError(f"{path} is no classifier of images (batch, height, width, channels): its inputs are {shapes}.")
    expected = shapes[0][1:]
    if all(n in (None, own) for n, own in zip(expected, found, strict=True)):
        return
    height, width, channels = expected
    if channels not in (None, found[2]):
        advice = "Choose data of as many channels by --recipe or --dataset."
    elif height is not None and height == width:
        advice = f"Say --image_size={height}."
    else:
        advice = "--image_size makes square images only: choose data of that size."
    raise UserError(f"{path} takes images of {expected}, the data has {found}. {advice}")
