"""Functions that copy a trained network's weights to a new network before the new network is trained."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops as K

from encapnet_tf.blocks.image_decoder import DECODERS
from encapnet_tf.layers import FeedbackAgreement, Reconstruction

from ..config.initial_weights import WeightsFile
from ..config.presets import is_preset, preset_name
from ..evaluation.model_and_data import check_images
from ..evaluation.predictions import saved_model
from ..runs.errors import UserError
from .checkpoints.checkpoint import digest

_FEW_NAMES = 4  # layers that an error message names
_ATTACHED = (FeedbackAgreement, Reconstruction)  # without an influence on the outputs: a network may have them or not


@dataclass(frozen=True)
class Transfer:
    """Record of the weights that a new network received from a trained network.

    Attributes:
        file: the trained network.
        loaded: number of trainable parameters that were taken; the moving statistics of their layers were, too.
        parameters: number of trainable parameters of the new network.
        new: names of its layers that keep their random weights.
        unused: names of the trained network's layers that were not taken.
        remark: why layers are new; "" if none are.
        decoder_flags: flags that add the trained network's decoder to the new network; "" if it has none, or the new
            network has it too.
    """

    file: WeightsFile
    loaded: int
    parameters: int
    new: tuple[str, ...]
    unused: tuple[str, ...]
    remark: str
    decoder_flags: str = ""

    def lines(self) -> list[str]:
        """Describe as text which weights of a new network were copied from a trained network.

        Return one or two lines. The second line names the layers of either network that were left out.
        """
        count = f"{self.loaded:,} of" if self.loaded < self.parameters else "all"
        path = self.file.path
        source = f"the preset {preset_name(path)}" if is_preset(path) else path
        lines = [f"weights: {count} {self.parameters:,} parameters from {source}"]
        rest = []
        if self.new:
            rest.append(f"new: {', '.join(self.new)}{f' ({self.remark})' if self.remark else ''}")
        if self.unused:
            rest.append(f"not used: {', '.join(self.unused)}")
        if self.decoder_flags:
            rest.append(f"{self.decoder_flags} gives the new network a decoder too")
        if not rest and self.remark:
            rest.append(self.remark)
        return [*lines, *([f"         {'; '.join(rest)}"] if rest else [])]

    def record(self) -> dict:
        """Return a JSON-compatible dictionary that records which weights were loaded from which file.

        It is saved in the run's config.json.
        """
        return {
            "initial_weights": {
                "file": str(self.file.path.resolve()),
                "sha256": digest(self.file.path),
                "loaded_parameters": self.loaded,
                "parameters": self.parameters,
                "new_layers": list(self.new),
                "unused_layers": list(self.unused),
            }
        }


def load_initial_weights(
    model: keras.Model, file: WeightsFile, class_names: Sequence[str], build: Callable[[int], keras.Model]
) -> Transfer:
    """Copy the weights of a trained network into a new network of the same architecture.

    Layers are matched by their names. If the classes differ, the layers whose shapes depend on the number of classes
    keep their new weights. So do feedback units and decoders that the trained network does not have.

    Args:
        model: the new network.
        file: the trained network.
        class_names: classes of the new network.
        build: function that builds the new network for another number of classes; called only if the classes differ.

    Raises:
        UserError: the file is damaged or no network for these images, or the architectures differ.
    """
    trained = saved_model(file.path)
    check_images(file.path, trained, tuple(model.input_shape[1:]))
    head, remark = _head(model, trained, file, class_names, build)
    ours, theirs = _layers_with_weights(model), _layers_with_weights(trained)
    _check_architecture(file, ours, theirs, head)
    taken = [
        name for name in ours if name in theirs and name not in head and _shapes(ours[name]) == _shapes(theirs[name])
    ]
    if not taken:
        raise UserError(f"--init_weights: no weights of {file.path} fit the network. {_ADVICE}")
    with model.distribute_strategy.scope():
        for name in taken:
            _copy_weights(theirs[name], ours[name], file)
    return Transfer(
        file=file,
        loaded=sum(_parameters(ours[name]) for name in taken),
        parameters=sum(_parameters(layer) for layer in ours.values()),
        new=tuple(name for name in ours if name not in taken),
        unused=tuple(name for name in theirs if name not in taken and name not in head),
        remark=remark,
        decoder_flags=_decoder_flags(theirs) if not _decoders(ours) else "",
    )


_ADVICE = (
    "Set the network of the file by --model, --depths and the other flags of the network, or leave them out and name "
    "the folder of the run that trained it, whose config.json has its settings."
)


def _head(model, trained, file, class_names, build) -> tuple[frozenset[str], str]:
    """Return the names of layers that receive no pretrained weights because the image classes differ.

    The layers are those whose shapes change with the number of classes. The second result is the reason as text.
    """
    classes, trained_shape = model.output_shape[-1], trained.output_shape
    if not isinstance(trained_shape, tuple) or len(trained_shape) != 2:
        raise UserError(
            f"--init_weights: {file.path} is no classifier with scores (batch, classes): its output has the shape "
            f"{trained_shape}. Choose the file of a classifier."
        )
    trained_classes = trained_shape[1]
    if classes == trained_classes:
        if file.class_names is None:
            return frozenset(), "the file does not name its classes, which are taken to be the same"
        if tuple(file.class_names) == tuple(class_names):
            return frozenset(), ""
    other = _layers_with_weights(build(classes + 1))
    head = {name for name, layer in _layers_with_weights(model).items() if _shapes(layer) != _shapes(other[name])}
    remark = f"{classes} other classes" if classes == trained_classes else f"{classes} classes, not {trained_classes}"
    return frozenset(head), remark


def _layers_with_weights(model) -> dict[str, keras.layers.Layer]:
    return {layer.name: layer for layer in model.layers if layer.weights}


def _decoders(layers: dict[str, keras.layers.Layer]) -> list[Reconstruction]:
    return [layer for layer in layers.values() if isinstance(layer, Reconstruction)]


def _decoder_flags(layers: dict[str, keras.layers.Layer]) -> str:
    """Return the command-line flags that add a trained network's decoder to a new network.

    The weight of the reconstruction error is among them if it is not the default. "" if there is no decoder, or one
    that no flag names.
    """
    for layer in _decoders(layers):
        config = layer.get_config()
        if config["decoder"] in DECODERS:
            weight = "" if config["weight"] is None else f" --reconstruction_weight={config['weight']:g}"
            return f"--reconstruction={config['decoder']}{weight}"
    return ""


def _parameters(layer) -> int:
    return sum(math.prod(weight.shape) for weight in layer.trainable_weights)


def _shapes(layer) -> list[tuple]:
    return [tuple(weight.shape) for weight in layer.weights]


def _check_architecture(file: WeightsFile, ours: dict, theirs: dict, head: Collection[str]) -> None:
    """Raise `UserError` if a trained network and the new network differ in layers or weight shapes.

    Args:
        file: the trained network.
        ours, theirs: layer's name -> layer of the new and of the trained network.
        head: layers that may differ.
    """
    needed = {name for name, layer in ours.items() if not isinstance(layer, _ATTACHED)} - set(head)
    trained = {name for name, layer in theirs.items() if not isinstance(layer, _ATTACHED)} - set(head)
    other_shapes = [name for name in ours if name in needed & trained and _shapes(ours[name]) != _shapes(theirs[name])]
    problems = {
        "it lacks": [name for name in ours if name in needed - trained],
        "it has besides": [name for name in theirs if name in trained - needed],
        "other shapes have": other_shapes,
    }
    texts = [f"{problem} {_some(names)}" for problem, names in problems.items() if names]
    if texts:
        raise UserError(
            f"--init_weights: {file.path} is another network than the one to train: {'; '.join(texts)}. {_ADVICE}"
        )


def _some(names: Sequence[str]) -> str:
    """Join the first four layer names with commas, and append the number of remaining names."""
    more = len(names) - _FEW_NAMES
    return ", ".join(names[:_FEW_NAMES]) + (f" and {more} more" if more > 0 else "")


def _copy_weights(source: keras.layers.Layer, target: keras.layers.Layer, file: WeightsFile) -> None:
    """Copy a layer's weights to another layer, except for the loss weight of a Sinkhorn-divergence regulariser.

    The loss weight is a setting, so the new network keeps its own.
    """
    values = [K.convert_to_numpy(weight) for weight in source.weights]
    if not all(np.isfinite(value).all() for value in values):
        raise UserError(f"--init_weights: {file.path} holds NaN or infinite numbers, in the layer {source.name}.")
    setting = target.weight if isinstance(target, FeedbackAgreement) else None
    for weight, value in zip(target.weights, values, strict=True):
        weight.assign(value)
    if setting is not None:
        target.weight = setting
