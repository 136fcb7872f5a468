"""Function that loads a saved model and a data set, and checks that their image shapes and classes agree."""

from dataclasses import replace
from pathlib import Path

import keras

from .. import data
from ..config.dataset_names import refuse_unread_data_dir
from ..config.presets import is_preset, preset_name
from ..config.recipes import override, resolve
from ..config.run_config import read_run_config
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .predictions import saved_model


def model_and_data(path, recipe: str | None, overrides: dict) -> tuple[keras.Model, data.Dataset]:
    """Load a saved model and a data set, and check that the image shapes and class counts of both agree.

    Args:
        path: folder of a finished run, a `.keras` file of any classifier that takes pixels from 0 to 255, or the
            weights file of a preset.
        recipe: recipe that names the data set; None takes the run's own, or that of the preset. The settings
            `augment`, `image_size` and `compose`, which say what the network sees of an image, remain those of the run.
        overrides: setting -> value that replaces the recipe's, for settings of the data.

    Raises:
        UserError: there is no such model, the data set is missing, or they do not fit.
    """
    path = Path(path)
    if path.is_dir():
        run = RunDirectory.open(path)
        path = run.file(RunDirectory.best_model_file)
        config = read_run_config(run, data_needed=not (recipe or "data_dir" in overrides))
        if recipe:
            seen = {name: getattr(config, name) for name in ("augment", "image_size", "compose")}
            config = replace(resolve(recipe, {}), **seen)
        config = override(config, overrides)
    elif not path.is_file():
        raise UserError(
            f"There is no model at {path}: expected a finished run's folder or a .keras "
            f"file{RunDirectory.example(complete=True)}."
        )
    elif is_preset(path):
        config = resolve(recipe or preset_name(path), {"augment": ("none",), **overrides})
    elif recipe is None and "dataset" not in overrides:
        raise UserError("A model file does not name its data: choose the images to evaluate by --recipe or --dataset.")
    else:
        config = resolve(recipe or "digits", {"augment": ("none",), **overrides})
    refuse_unread_data_dir(overrides.get("data_dir"), config.dataset)
    model = saved_model(path)
    dataset = data.load(config)
    check_images(path, model, dataset.image_shape)
    outputs, names = model.output_shape[1:], dataset.class_names
    if outputs != (len(names),):
        raise UserError(
            f"The model {path} gives scores of shape {outputs}, but the data set has {len(names)} classes. Choose the "
            "data that it was trained on by --recipe or --dataset."
        )
    return model, dataset


def check_images(path: Path, model: keras.Model, image_shape: tuple[int, int, int]) -> None:
    """Raise `UserError` if a model does not accept images of a given shape."""
    shapes = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise UserError(f"{path} is no classifier of images (batch, height, width, channels): its inputs are {shapes}.")
    expected = shapes[0][1:]
    if all(size in (None, received) for size, received in zip(expected, image_shape, strict=True)):
        return
    height, width, channels = expected
    if channels not in (None, image_shape[2]):
        advice = (
            "Choose data with the model's number of channels by --recipe or --dataset. Folders of images are read in "
            "colour, with 3 channels, or with --color_mode=grayscale in one; --dataset=npz takes arrays with 1 or 3."
        )
    elif height is not None and height == width:
        advice = f"Say --image_size={height}."
    else:
        advice = "--image_size makes square images only: choose data of that size."
    raise UserError(f"{path} takes images of {expected}, the data has {image_shape}. {advice}")
