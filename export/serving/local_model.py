"""A run, an export or a model file as a function of image files, on this machine."""

from pathlib import Path

import tensorflow as tf

from ...trainers.config.schema import Config
from ...trainers.data.augmentation.views import ENLARGE, Views
from ...trainers.evaluation.predictions import saved_model
from ...trainers.runs.errors import UserError
from ...trainers.runs.run_directory import RunDirectory
from ..artefacts.export_folder import ExportFolder
from ..artefacts.inference import inference_model
from ..artefacts.preprocessing import Preprocessing
from .clients import Refused


def local_model(path):
    """Loads it.

    Args:
        path: folder of a run or of an export (its newest version is taken), or a `.keras` file.

    Returns:
        Function of encoded images, list of bytes, to {output: array}, and the class names (None where not known). The
        function raises `Refused` for an image that is refused.

    Raises:
        UserError: there is no model.
    """
    path = Path(path)
    if ExportFolder.versions(path):
        score = tf.saved_model.load(str(ExportFolder.newest(path))).signatures["serve_bytes"]
        names = (path / ExportFolder.labels_file).read_text(encoding="utf-8").splitlines()
        return _answering(lambda files: score(images=files)), names
    if path.is_dir():
        run = RunDirectory.open(path)
        config = Config.from_json(run.read_json(RunDirectory.config_file, "config")["config"])
        summary = run.read_json(RunDirectory.summary_file, "class_names")
        score = _of_keras(run.file(RunDirectory.best_model_file), config, summary.get("stored_shape"))
        return _answering(score), summary["class_names"]
    if path.suffix != ".keras":
        raise UserError(
            f"{path} is no model: expected the folder of a run or of an export, or a .keras file, before the images."
        )
    return _answering(_of_keras(path)), None


def _of_keras(path, config=None, stored_shape=None):
    model = inference_model(saved_model(path))
    height, width, channels = model.input.shape[1:]
    views = Views((height, width), ENLARGE[config.augment[0]] if config else 1.0)
    if stored_shape is not None:
        stored = tuple(stored_shape[:2])
    else:  # a model file, or a run of before it was written down: the data's own size where none was asked for
        stored = views.enlarged_size() if config and config.image_size is not None else views.size
    preprocessing = Preprocessing(stored, channels, views)
    return tf.function(lambda files: model(preprocessing.of_files(files), training=False), autograph=False)


def _answering(score):
    def answer(files):
        try:
            return {name: value.numpy() for name, value in score(tf.constant(files)).items()}
        except tf.errors.InvalidArgumentError as error:
            raise Refused(error.message) from None

    return answer
