"""Lookup of the trained model that a command-line argument names.

This module does not import TensorFlow.
"""

from dataclasses import dataclass
from pathlib import Path

from ..trainers.runs.errors import UserError
from ..trainers.runs.run_directory import RunDirectory
from .artefacts.export_folder import ExportFolder

RUN, EXPORT, SAVED_MODEL, KERAS, TFLITE = "run", "export", "saved_model", "keras", "tflite"
_FILES = {".keras": KERAS, ".tflite": TFLITE}  # ending of a file's name -> kind
_EXPECTED = "Expected the folder of a run or of an export, a .keras or a .tflite file"


@dataclass(frozen=True)
class ModelSource:
    """Path of a trained model, and the kind of file or folder that holds it.

    Attributes:
        kind: "run", the folder of a finished run; "export", the folder of an export, whose newest SavedModel counts;
            "saved_model", the folder of one version of it; "keras" or "tflite", a file.
        path: the folder or file.
    """

    kind: str
    path: Path


def find_model(argument: str | Path) -> ModelSource:
    """Return the path and kind (such as SavedModel or TFLite) of the model at a file or folder path.

    Args:
        argument: path of a folder or file.

    Raises:
        UserError: there is no model, or its run did not finish.
    """
    path = Path(argument)
    if path.is_dir():
        return ModelSource(_kind_of_folder(path), path)
    if path.is_file() and path.suffix.lower() in _FILES:
        return ModelSource(_FILES[path.suffix.lower()], path)
    # The name of a preset belongs here: it is looked up last, so that a path that exists goes before it.
    reason = "it is another kind of file" if path.exists() else "there is no such file or folder"
    raise UserError(f"{argument} is no model: {reason}. {_EXPECTED}{RunDirectory.example(complete=True)}.")


def _kind_of_folder(path: Path) -> str:
    """Return the kind of model in a folder: training run, export or SavedModel.

    Raises:
        UserError: it is none of them, or its run did not finish.
    """
    if ExportFolder.versions(path):
        return EXPORT
    if (path / "saved_model.pb").is_file():
        return SAVED_MODEL
    if (path / RunDirectory.config_file).is_file():
        RunDirectory.open(path)  # raises if the run did not finish
        return RUN
    raise UserError(
        f"{path} is no model: the folder has neither {RunDirectory.config_file}, as a run has, nor "
        f"{ExportFolder.versions_folder}, as an export has. {_EXPECTED}{RunDirectory.example(complete=True)}."
    )
