"""Function that writes a trained network to a folder, as one of the package's pretrained networks."""

import hashlib
import io
import json
from pathlib import Path

import keras
import numpy as np

from encapnet_tf.models.presets.preset import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE


def write_preset(
    model: keras.Model,
    folder: Path,
    *,
    arguments: dict,
    decoder: str,
    reconstruction_weight: float | None,
    class_names: list[str],
    test_accuracy: float,
    card: str,
) -> None:
    """Write a trained network to a folder in the format of the package's pretrained networks.

    The folder holds the weights in float16, the architecture and a model card.

    Args:
        model: the trained `models.EncapNet` with its decoder.
        folder: folder to write, named as the preset.
        arguments: arguments of `models.EncapNet` that fix the architecture.
        decoder, reconstruction_weight: arguments `decoder` and `weight` of `attach_reconstruction`.
        class_names: one for each class.
        test_accuracy: accuracy of the weights rounded to float16.
        card: the model card, Markdown text.

    Raises:
        ValueError: a weight does not fit into float16.
    """
    arrays = {}
    for i, weight in enumerate(model.weights):
        with np.errstate(over="ignore"):
            array = keras.ops.convert_to_numpy(weight).astype("float16")
        if not np.isfinite(array).all():
            raise ValueError(f"{weight.path} does not fit into float16.")
        arrays[f"{i:03d}_{weight.name}"] = array
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    content = buffer.getvalue()
    config = {
        "arguments": arguments,
        "decoder": decoder,
        "reconstruction_weight": reconstruction_weight,
        "class_names": list(class_names),
        "test_accuracy": test_accuracy,
        "checksum": hashlib.sha256(content).hexdigest(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(content)
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
