"""Functions that classify image files on the local machine, without a model server.

The model is that of a run, an export or a model file.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import tensorflow as tf

from ..trainers.config.run_config import read_run_config
from ..trainers.data.augmentation.views import ENLARGE, Views
from ..trainers.evaluation.predictions import saved_model
from ..trainers.runs.errors import UserError
from ..trainers.runs.run_directory import RunDirectory
from .artefacts.export_folder import ExportFolder
from .artefacts.inference import inference_model
from .artefacts.preprocessing import Preprocessing
from .serving.clients import RequestRefused


def load_predictor(path: str | Path) -> tuple[Callable[[list], dict], list[str] | None]:
    """Load a model from disk, and return the class names and a function that classifies encoded images.

    Args:
        path: folder of a run or of an export (its newest version is taken), or a `.keras` file.

    Returns:
        Function of encoded images, a list of bytes, to {output: array}, and the class names (None if not known). The
        function raises `RequestRefused` for an image that cannot be decoded or is too large.

    Raises:
        UserError: there is no model.
    """
    path = Path(path)
    if ExportFolder.versions(path):
        signature = tf.saved_model.load(str(ExportFolder.newest(path))).signatures["serve_bytes"]
        names = (path / ExportFolder.labels_file).read_text(encoding="utf-8").splitlines()
        return _predictor(lambda files: signature(images=files)), names
    if path.is_dir():
        run = RunDirectory.open(path)
        config = read_run_config(run, data_needed=False)
        summary = run.read_json(RunDirectory.summary_file, "class_names")
        function = _keras_function(run.file(RunDirectory.best_model_file), config, summary)
        return _predictor(function), summary["class_names"]
    if path.suffix != ".keras":
        raise UserError(
            f"{path} is no model: expected the folder of a run or of an export, or a .keras file, before the images."
        )
    return _predictor(_keras_function(path)), None


def _keras_function(path, config=None, summary: Mapping = MappingProxyType({})):
    """Load a Keras model file, and return a function that decodes, preprocesses and classifies encoded images.

    It takes a tensor of strings.

    Args:
        path: of the model.
        config: the run's configuration; None without a run.
        summary: contents of the run's summary.json.
    """
    model = inference_model(saved_model(path))
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
    preprocessing = Preprocessing(stored, channels, views, single_size and tuple(single_size))
    return tf.function(lambda files: model(preprocessing.of_files(files), training=False), autograph=False)


def _predictor(function):
    """Wrap a TensorFlow image classifier to accept a list of `bytes` objects and return a dictionary of arrays."""

    def predict(files):
        try:
            return {name: value.numpy() for name, value in function(tf.constant(files)).items()}
        except tf.errors.InvalidArgumentError as error:
            raise RequestRefused(error.message) from None

    return predict
