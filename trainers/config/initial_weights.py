"""Trained network that provides the initial weights of a training run (`--init_weights`).

The network settings of the run that trained it come with the weights.
"""

import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runs.errors import UserError
from ..runs.json_files import parse_json
from ..runs.run_directory import RunDirectory
from .presets import is_preset, preset_description, preset_name, preset_names, preset_weights
from .recipes import override
from .schema import Config, network_settings
from .suggestions import did_you_mean

_MODEL_FILES = (RunDirectory.best_model_file, RunDirectory.final_model_file)
_ARCHITECTURE = ("model", *network_settings())


@dataclass(frozen=True)
class WeightsFile:
    """Path of a trained network's file, with the configuration and class names of its training run.

    Attributes:
        path: the `.keras` file.
        config: the run's configuration; None for a file that does not lie in a run's folder.
        class_names: of the run; None if they are not known.
    """

    path: Path
    config: Config | None = None
    class_names: tuple[str, ...] | None = None

    @property
    def image_shape(self) -> tuple[int | None, ...] | None:
        """Shape of the trained network's input images, or None if it cannot be read from the model file.

        The shape is (height, width, channels).
        It is read without building the network. A damaged file is reported where its weights are loaded.
        """
        if is_preset(self.path):
            return tuple(preset_description(self.path)["arguments"]["input_shape"])
        try:
            with zipfile.ZipFile(self.path) as archive:
                layers = parse_json(archive.read("config.json").decode("utf-8"))["config"]["layers"]
            shapes = [layer["config"]["batch_shape"][1:] for layer in layers if layer["class_name"] == "InputLayer"]
        except Exception:  # a damaged file can raise anything: errors of zipfile and zlib, LookupError, ValueError
            return None
        return tuple(shapes[0]) if len(shapes) == 1 and len(shapes[0]) == 3 else None


def find_weights(source: str, folder: Path = Path()) -> WeightsFile:
    """Find the trained network that the flag `--init_weights` names.

    Args:
        source: folder of a run, which need not have finished, a `.keras` file, or a preset's name.
        folder: the folder from which a relative path is meant.

    Raises:
        UserError: there is no such run or file.
    """
    path = folder / Path(source).expanduser()
    if path.is_dir():
        return _best_model(source, path)
    if path.is_file():
        in_run = path.name in _MODEL_FILES and path.with_name(RunDirectory.config_file).is_file()
        return _of_run(RunDirectory(path.parent), path) if in_run else WeightsFile(path)
    if weights := preset_weights(source):  # an existing path goes before a preset of the same name
        return _of_preset(weights)
    hint = did_you_mean(source, preset_names())
    raise UserError(
        f"--init_weights={source}: there is no such file or folder{hint}. Expected the folder of a run, a .keras "
        f"file or a preset ({', '.join(preset_names())}){RunDirectory.example(complete=True)}."
    )


def _of_preset(weights: Path) -> WeightsFile:
    """Return the weights path, the architecture settings and the class names of a pretrained network."""
    preset = preset_description(weights)
    network = {name: preset["arguments"][name] for name in network_settings() if name in preset["arguments"]}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in network.items()}
    values["routing"] = (values["routing"],) if isinstance(values.get("routing"), str) else values.get("routing")
    config = override(Config(), {"dataset": preset_name(weights), "model": "encapnet", **values})
    return WeightsFile(weights, config, tuple(preset["class_names"]))


def _best_model(source, path) -> WeightsFile:
    """Return the best model file of the training run in a folder, or raise UserError if there is none."""
    if not (path / RunDirectory.config_file).is_file():
        raise UserError(
            f"--init_weights={source}: this folder is no run, because it has no {RunDirectory.config_file}. Expected a "
            f"folder that `encapnet train` wrote, or a .keras file{RunDirectory.example(complete=True)}."
        )
    run = RunDirectory(path)
    file = run.file(RunDirectory.best_model_file)
    if not file.is_file():
        raise UserError(
            f"--init_weights={source}: the run has no {file.name}, which is written after its first epoch. Choose "
            f"another run{RunDirectory.example(complete=True)}."
        )
    return _of_run(run, file)


def _of_run(run: RunDirectory, file: Path) -> WeightsFile:
    """Return a model file together with the configuration and class names of the training run that wrote it.

    The class names are unknown until the run is complete.
    """
    config = Config.from_json(run.read_json(RunDirectory.config_file, "config")["config"])
    if not run.is_complete:
        return WeightsFile(file, config)
    return WeightsFile(file, config, tuple(run.read_json(RunDirectory.summary_file, "class_names")["class_names"]))


def adopt_network(config: Config, given: Collection[str]) -> tuple[Config, frozenset[str]]:
    """Copy the network settings from the training run that provides the initial weights.

    They are the settings that define the architecture, and the image size. They go into the configuration of the new
    run. A file without a run tells its image size only.

    Args:
        config: the configuration.
        given: names of the settings that the user gave, which stay as they are. If they choose another network than the
            run's, nothing is taken.

    Returns:
        The configuration, and the names of the settings that were taken; none without `init_weights`.

    Raises:
        UserError: there is no such run or file.
    """
    if config.init_weights is None:
        return config, frozenset()
    weights = find_weights(config.init_weights)
    values: dict[str, Any] = {}
    if weights.config is not None:
        if "model" in given and config.model != weights.config.model:
            return config, frozenset()
        values = {name: getattr(weights.config, name) for name in _ARCHITECTURE}
    values |= _image_size(config, weights) | _color_mode(config, weights)
    kept = {name: getattr(config, name) for name in given}
    return override(config, {**values, **kept}), frozenset(values) - frozenset(given)


def _color_mode(config: Config, weights: WeightsFile) -> dict:
    """Choose greyscale or colour input for a folder of images, to match the input channels of a trained network.

    Return the setting `color_mode` in a dictionary, which is empty if the setting need not change.
    """
    channels = (weights.image_shape or (None,))[-1]
    if config.color_mode != "auto" or config.dataset != "folder" or channels not in (1, 3):
        return {}
    return {"color_mode": "grayscale" if channels == 1 else "rgb"}


def _image_size(config: Config, weights: WeightsFile) -> dict:
    """Choose the setting `image_size` to suit a trained network.

    Return an empty dictionary if the network does not determine the size.
    """
    of_run = weights.config
    if of_run is not None and (of_run.dataset, of_run.data_dir) == (config.dataset, config.data_dir):
        return {"image_size": of_run.image_size}
    height, width = (weights.image_shape or (None, None))[:2]
    is_square = height is not None and height == width
    return {"image_size": height} if is_square and config.compose == "none" else {}
