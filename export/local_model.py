"""Trained Keras image classifiers, loaded from training runs or `.keras` files."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..trainers.config.presets import is_preset, preset_description
from ..trainers.config.run_config import read_run_config
from ..trainers.evaluation.predictions import saved_model
from ..trainers.runs.errors import UserError, root_cause
from ..trainers.runs.run_directory import RunDirectory
from .artefacts.preprocessing import Preprocessing
from .local_predictor import preprocessing_of, warn_without_rescaling


@dataclass(frozen=True)
class LocalModel:
    """A trained Keras image classifier, with its image preprocessing and class names.

    The model is as it was saved, with its decoder if it has one.

    Attributes:
        model: images (batch, height, width, channels), pixels from 0 to 255 -> class scores (batch, classes).
        preprocessing: of image files.
        class_names: in the order of the scores; their numbers if the names are not known.
    """

    model: keras.Model
    preprocessing: Preprocessing
    class_names: list[str]

    @classmethod
    def load(cls, path: str | Path) -> "LocalModel":
        """Load an image classifier from a training run, a `.keras` file or a pretrained network's weights file.

        Raises:
            UserError: there is no such model, or it is no image classifier.
        """
        path = Path(path)
        if path.is_dir():
            run = RunDirectory.open(path)
            config = read_run_config(run, data_needed=False)
            summary = run.read_json(RunDirectory.summary_file, "class_names")
            file = run.file(RunDirectory.best_model_file)
        elif is_preset(path):
            file, config, summary = path, None, preset_description(path)
        else:
            file, config, summary = path, None, {}
        model = saved_model(file)
        shapes = [[tuple(x.shape) for x in getattr(model, side, None) or []] for side in ("inputs", "outputs")]
        if [[len(shape) for shape in side] for side in shapes] != [[4], [2]] or None in shapes[0][0][1:]:
            raise UserError(
                f"{file} is no classifier of images (batch, height, width, channels) of known size with one output "
                f"(batch, classes): its inputs are {shapes[0]}, its outputs {shapes[1]}."
            )
        if config is None:
            warn_without_rescaling(file, model)
        names = summary.get("class_names") or [str(i) for i in range(shapes[1][0][1])]
        return cls(model, preprocessing_of(file, model, config, summary), names)

    def read_image(self, file: bytes) -> np.ndarray:
        """Decode an image file and preprocess the image for the network.

        Returns (height, width, channels) float from 0 to 255.

        Raises:
            UserError: the file cannot be decoded.
        """
        try:
            return self.preprocessing.of_files(tf.constant([file])).numpy()[0]
        except tf.errors.InvalidArgumentError as error:
            raise UserError(root_cause(error.message)) from None
