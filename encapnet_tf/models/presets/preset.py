"""Functions that list the package's pretrained networks and load their weights."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

_FOLDER = Path(__file__).parent
CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "weights.npz", "README.md"


@dataclass(frozen=True)
class Preset:
    """Pretrained network of the package, with its architecture, class names and weights file.

    Attributes:
        name: the preset's name.
        arguments: arguments of `models.EncapNet` that fix the architecture.
        decoder, reconstruction_weight: arguments `decoder` and `weight` of `attach_reconstruction`, with which the
            network was trained.
        class_names: one for each class, in the order of the labels.
        test_accuracy: accuracy of the weights in the file, from 0 to 1.
        checksum: SHA-256 of the file of weights, in hexadecimal digits.
        folder: folder with the weights and the model card.
    """

    name: str
    arguments: dict
    decoder: str
    reconstruction_weight: float | None
    class_names: tuple[str, ...]
    test_accuracy: float
    checksum: str
    folder: Path

    @property
    def card(self) -> str:
        """Model card of the pretrained network as Markdown text.

        It describes data, training, accuracy and limits.
        """
        return (self.folder / CARD_FILE).read_text(encoding="utf-8")

    def load_into(self, model: keras.Model) -> None:
        """Load the weights of a pretrained network from its file into a Keras model of the same architecture.

        The file holds them in float16. The model must have its decoder.

        Raises:
            ValueError: the file of weights is damaged, or the model has other weights.
        """
        content = (self.folder / WEIGHTS_FILE).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.checksum:
            raise ValueError(
                f"The weights of the preset {self.name!r} are damaged: the checksum of {self.folder / WEIGHTS_FILE} "
                "differs. Install the package again."
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = [file[name] for name in file.files]
        shapes = [tuple(weight.shape) for weight in model.weights]
        if [array.shape for array in arrays] != shapes:
            raise ValueError(f"{model.name} has another architecture than the preset {self.name!r}.")
        for weight, array in zip(model.weights, arrays, strict=True):
            weight.assign(array.astype("float32"))


def preset_names(folder: Path = _FOLDER) -> tuple[str, ...]:
    """Return the names of all pretrained networks in the package."""
    return tuple(sorted(path.parent.name for path in folder.glob(f"*/{CONFIG_FILE}")))


def read_preset(name: str, folder: Path = _FOLDER) -> Preset:
    """Read the configuration file of a pretrained network.

    Args:
        name: one of `preset_names()`.
        folder: folder of all presets.

    Raises:
        ValueError: there is no such preset.
    """
    if name not in preset_names(folder):
        raise ValueError(f"There is no preset {name!r}. Presets: {', '.join(preset_names(folder))}.")
    values = json.loads((folder / name / CONFIG_FILE).read_text(encoding="utf-8"))
    values["arguments"] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values["arguments"].items()
    }
    return Preset(**{**values, "class_names": tuple(values["class_names"])}, name=name, folder=folder / name)
