"""Functions that classify image files on the local machine, without a model server.

The model is that of a run, an export or a file.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import keras
import numpy as np
import tensorflow as tf

from encapnet_tf.keras_private import inner_layers

from ..trainers.config.presets import preset_description
from ..trainers.config.run_config import read_run_config
from ..trainers.data.augmentation.views import ENLARGE, Views
from ..trainers.evaluation.predictions import saved_model
from ..trainers.runs.errors import UserError, reason, root_cause
from ..trainers.runs.run_directory import RunDirectory
from . import model_source
from .artefacts.export_folder import ExportFolder, refuse_brackets
from .artefacts.inference import inference_model
from .artefacts.preprocessing import Preprocessing
from .lite_predictor import load_lite
from .model_source import find_model
from .serving.clients import RequestRefused


def load_predictor(path: str | Path) -> tuple[Callable[[list], dict], list[str] | None]:
    """Load a model from disk, and return the class names and a function that classifies encoded images.

    Args:
        path: folder of a run or of an export (its newest version is taken), a `.keras` or `.tflite` file, or a preset's
            name; see `find_model`.

    Returns:
        Function of encoded images, a list of bytes, to {output: array}, and the class names (None if not known). The
        function raises `RequestRefused` for an image that cannot be decoded or is too large.

    Raises:
        UserError: there is no model, or it cannot be loaded.
    """
    source = find_model(path)
    function, names = _LOADERS[source.kind](source.path)
    return _predictor(function), names


def _load_export(path):
    function, _ = _load_saved_model(ExportFolder.newest(path))
    return function, ExportFolder.class_names(path)


def _load_saved_model(path):
    refuse_brackets(path)
    try:
        signature = tf.saved_model.load(str(path)).signatures["serve_bytes"]
        _, inputs = signature.structured_input_signature
        if {name: (spec.dtype, spec.shape.rank) for name, spec in inputs.items()} != {"images": (tf.string, 1)}:
            raise ValueError(f"the signature serve_bytes takes {', '.join(inputs)}")
    except Exception as error:  # a damaged file can raise anything: errors of protocol buffers, TensorFlow, Python
        raise UserError(f"{path} cannot be loaded as a SavedModel of `encapnet export`: {reason(error)}") from None
    return lambda files: signature(images=files), ExportFolder.class_names(path / "assets")


def _load_run(path):
    run = RunDirectory.open(path)
    config = read_run_config(run, data_needed=False)
    summary = run.read_json(RunDirectory.summary_file, "class_names")
    return _keras_function(run.file(RunDirectory.best_model_file), config, summary), summary["class_names"]


def _load_keras(path):
    return _keras_function(path), None


def _load_preset(path):
    return _keras_function(path), preset_description(path)["class_names"]


# Kind of a model -> function of its path that returns a function of encoded images, a tensor of strings, and the names
# of the classes or None.
_LOADERS = {
    model_source.RUN: _load_run,
    model_source.EXPORT: _load_export,
    model_source.SAVED_MODEL: _load_saved_model,
    model_source.KERAS: _load_keras,
    model_source.TFLITE: load_lite,
    model_source.PRESET: _load_preset,
}


def _keras_function(path, config=None, summary: Mapping = MappingProxyType({})):
    """Load a Keras model file, and return a function that decodes, preprocesses and classifies encoded images.

    It takes a tensor of strings.

    Args:
        path: of the model.
        config: the run's configuration; None without a run.
        summary: contents of the run's summary.json.
    """
    model = inference_model(saved_model(path))
    if config is None:
        warn_without_rescaling(path, model)
    preprocessing = preprocessing_of(path, model, config, summary)
    return tf.function(
        lambda files: model(preprocessing.of_files(files), training=False),
        input_signature=[tf.TensorSpec((None,), tf.string)],  # or each number of files is traced anew
        autograph=False,
    )


def warn_without_rescaling(path, model) -> None:
    """Print a warning if a Keras model has no layer that rescales pixels, since it is given pixels from 0 to 255."""
    if not any(
        isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)) for layer in inner_layers(model)
    ):
        print(
            f"{path}: the network has no layer that rescales pixels, and is given pixels from 0 to 255. If it takes "
            "pixels from 0 to 1, build it with include_rescaling=True.",
            file=sys.stderr,
        )


def preprocessing_of(path, model, config=None, summary: Mapping = MappingProxyType({})) -> Preprocessing:
    """Create the image preprocessing that matches a Keras model and the settings of its training run.

    Args:
        path: of the model's file, for errors.
        model: images (batch, height, width, channels) -> scores.
        config: the run's configuration; None without a run.
        summary: contents of the run's summary.json.

    Raises:
        UserError: no image file has the model's number of channels.
    """
    height, width, channels = model.input.shape[1:]
    if channels not in (1, 3):
        raise UserError(
            f"Image files have 1 or 3 channels, but the model {path} takes {channels}, so none can be read."
        )
    views = Views((height, width), ENLARGE[config.augment[0]] if config else 1.0)
    if "stored_shape" in summary:
        stored = tuple(summary["stored_shape"][:2])
    elif config and config.image_size is not None:
        stored = views.enlarged_size()
    else:  # a model file, or a run of a version that did not record the shape: the data's own size
        stored = views.size
    single_size = summary.get("single_size")
    return Preprocessing(stored, channels, views, single_size and tuple(single_size))


def _predictor(function):
    """Wrap a TensorFlow image classifier to accept a list of `bytes` objects and return a dictionary of arrays."""

    def predict(files):
        try:
            return {name: np.asarray(value) for name, value in function(tf.constant(files)).items()}
        except tf.errors.InvalidArgumentError as error:
            raise RequestRefused(error.message) from None
        except (tf.errors.OpError, RuntimeError) as error:  # of a damaged model; RuntimeError is LiteRT's
            raise UserError(f"The model cannot be run, it may be damaged: {root_cause(str(error))}", status=1) from None

    return predict
