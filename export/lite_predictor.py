"""Classification of image files with an exported TFLite model."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from ..trainers.data.augmentation.views import ENLARGE, Views
from ..trainers.runs.atomic_folder import AtomicFolder
from ..trainers.runs.errors import UserError, reason
from ..trainers.runs.installation import install_command
from .artefacts.export_folder import ExportFolder
from .artefacts.preprocessing import Preprocessing
from .verification.runtimes import LiteModel

_LENGTHS = "lengths"


def load_lite(path: Path) -> tuple[Callable, list[str] | None]:
    """Load a TFLite file, and return the class names and a function that classifies encoded images.

    The images are preprocessed as metadata.json beside the file says, which `encapnet export` writes. Without it they
    are cropped and resized to the model's input, and the class names are not known.

    Args:
        path: the file.

    Returns:
        Function of files (batch,), a tensor of strings, to {output: float32 array}; and the class names or None.

    Raises:
        UserError: LiteRT is not installed, the file is no such model, or metadata.json belongs to another model.
    """
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise UserError(f"LiteRT, which runs {path}, is not installed: {install_command('export')}.")
    try:
        model = LiteModel(path)
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f"{path} cannot be loaded as a TFLite model with one input: {reason(error)}") from None
    shape = model.input_shape
    if len(shape) != 3 or shape[2] not in (1, 3) or _LENGTHS not in model.output_names:
        raise UserError(
            f"{path} is not a file of `encapnet export`: expected an input (batch, height, width, 1 or 3) and an "
            f"output {_LENGTHS}. Found an input of shape (batch, {', '.join(map(str, shape))}) and the outputs "
            f"{', '.join(model.output_names)}."
        )
    height, width, channels = shape
    preprocessing, names = Preprocessing((height, width), channels, Views((height, width))), None
    if (path.parent / ExportFolder.metadata_file).is_file():
        preprocessing = _preprocessing_beside(path, (height, width, channels))
        names = ExportFolder.class_names(path.parent)
    decode = tf.function(preprocessing.of_files, input_signature=[tf.TensorSpec((None,), tf.string)], autograph=False)
    return lambda files: model(decode(files).numpy()), names


def _preprocessing_beside(path: Path, shape: tuple[int, int, int]) -> Preprocessing:
    """Read the image preprocessing settings from the file metadata.json next to a TFLite model.

    Raises:
        UserError: metadata.json is damaged, or belongs to a model with another input shape.
    """
    folder = AtomicFolder(path.parent)
    metadata = folder.read_json(ExportFolder.metadata_file, "image")
    image = metadata["image"]
    try:
        configuration = metadata.get("about", {}).get("configuration", {})
        enlarge = ENLARGE[configuration.get("augment", ["none"])[0]]  # for exports that do not record it
        preprocessing = Preprocessing.from_json({"enlarge": enlarge, **image}, shape[:2])
        seen = tuple(image["seen"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{folder.file(ExportFolder.metadata_file)} is damaged: it does not describe images.") from None
    if seen != shape:
        raise UserError(
            f"{folder.file(ExportFolder.metadata_file)} describes a model for images of {seen}, but {path} takes "
            f"{shape}: move the file away from there."
        )
    return preprocessing
