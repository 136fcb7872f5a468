"""Lookup of the trained model that a command-line argument names.

This module does not import TensorFlow.
"""

from dataclasses import dataclass
from pathlib import Path

from ..trainers.config.presets import preset_from_argument, preset_names
from ..trainers.config.suggestions import did_you_mean
from ..trainers.runs.errors import UserError
from ..trainers.runs.run_directory import RunDirectory
from .artefacts.export_folder import ExportFolder

RUN, EXPORT, SAVED_MODEL, KERAS, TFLITE, PRESET = "run", "export", "saved_model", "keras", "tflite", "preset"
_FILES = {".keras": KERAS, ".tflite": TFLITE}  # ending of a file's name -> kind
_EXPECTED = "Expected the folder of a run or of an export, a .keras or a .tflite file, or a preset"


@dataclass(frozen=True)
class ModelSource:
    """Path and kind of a trained model, such as the folder of a training run or a TFLite file.

    Attributes:
        kind: "run", the folder of a finished run; "export", the folder of an export, whose newest SavedModel counts;
            "saved_model", the folder of one version of it; "keras" or "tflite", a file; "preset", a pretrained network
            of the package.
        path: the folder or file, of a preset its file of weights.
    """

    kind: str
    path: Path


def find_model(argument: str | Path) -> ModelSource:
    """Return the path and kind (such as SavedModel or TFLite) of the model at a file or folder path.

    Args:
        argument: path of a folder or file, or a preset's name. An existing path goes before a preset.

    Raises:
        UserError: there is no model, or its run did not finish.
    """
    path = Path(argument)
    if path.is_dir():
        return ModelSource(_kind_of_folder(path), path)
    if path.is_file() and path.suffix.lower() in _FILES:
        return ModelSource(_FILES[path.suffix.lower()], path)
    if weights := preset_from_argument(argument):
        return ModelSource(PRESET, weights)
    reason = "it is another kind of file" if path.exists() else "there is no such file or folder"
    hint = did_you_mean(str(argument), preset_names())
    expected = f"{_EXPECTED} ({', '.join(preset_names())}){RunDirectory.example(complete=True)}"
    raise UserError(f"{argument} is no model: {reason}{hint}. {expected}.")


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
