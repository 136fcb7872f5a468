"""Names and files of the pretrained networks in the package, found without importing Keras."""

import importlib.util
import json
from pathlib import Path

WEIGHTS_FILE, CONFIG_FILE = "weights.npz", "config.json"


def preset_names() -> tuple[str, ...]:
    """Return the names of all pretrained networks in the package."""
    return tuple(sorted(path.parent.name for path in _folder().glob(f"*/{CONFIG_FILE}")))


def preset_weights(name: str) -> Path | None:
    """Return the path of a pretrained network's weights, or None if the package has no preset of this name."""
    return _folder() / name / WEIGHTS_FILE if name in preset_names() else None


def preset_from_argument(argument: str | Path) -> Path | None:
    """Return the weights file of the preset that a command-line argument names, or None if it names no preset.

    A file or folder of the same name goes before a preset.
    """
    return None if Path(argument).exists() else preset_weights(str(argument))


def is_preset(path: Path) -> bool:
    """Return whether a path is the weights file of a pretrained network in the package."""
    return path.name == WEIGHTS_FILE and path.parent.parent == _folder()


def preset_name(weights: Path) -> str:
    """Extract a pretrained network's name from the path of its weights file.

    The name is also that of the recipe for the data set on which the network was trained.
    """
    return weights.parent.name


def preset_description(weights: Path) -> dict:
    """Read the architecture and class names of a pretrained network from the JSON file beside its weights."""
    return json.loads(weights.with_name(CONFIG_FILE).read_text(encoding="utf-8"))


def _folder() -> Path:
    package = importlib.util.find_spec("encapnet_tf")
    (folder,) = (package and package.submodule_search_locations) or [""]
    return Path(folder) / "models" / "presets"
