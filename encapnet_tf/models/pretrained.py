"""Decorator for model-building functions, which implements their argument `weights`.

The argument selects a pretrained network or a file of weights.
"""

import functools
import inspect
import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

import keras

from encapnet_tf.models.presets import preset_names, read_preset
from encapnet_tf.reconstruction import attach_reconstruction
from encapnet_tf.saving import load_model

# Arguments that may be chosen with a preset: they do not change its weights.
_FREE = ("include_rescaling", "synchronized", "kernel_initializer", "bias_initializer", "name")
_ADVICE = {  # argument -> what serves instead of another value
    "classes": " For other classes, give the preset a new class layer: a CapFC layer on the input of its layer "
    "'class_capsules', and a CapsuleLength layer. docs/training.md has the lines, and `encapnet train --init_weights` "
    "does it.",
}


def with_pretrained_weights(builder: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    """Decorate a model-building function so that its argument `weights` loads pretrained or saved weights.

    Args:
        builder: function with an argument `weights`, which it need not read.
    """
    signature = inspect.signature(builder)

    @functools.wraps(builder)
    def build(*args, **kwargs):
        arguments = signature.bind(*args, **kwargs).arguments  # only those that the caller passes
        weights = arguments.pop("weights", None)
        if weights is None:
            return builder(**arguments)
        if not isinstance(weights, (str, os.PathLike)):
            raise ValueError(f"weights must be None, a preset's name or a path. Received: weights={weights!r}.")
        if Path(weights).exists():
            model = builder(**arguments)
            _load_file(model, Path(weights))
            return model
        return _build_preset(builder, str(weights), arguments, signature)

    return build


def _load_file(model, path):
    """Load weights from a weights file or a saved Keras model into a network of the same architecture.

    Raise ValueError if it does not fit.
    """
    try:
        if path.suffix == ".keras":
            model.set_weights(load_model(path, compile=False).get_weights())
        else:
            model.load_weights(path)
    except Exception as error:  # Keras raises many kinds
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"The weights in {str(path)!r} do not fit {model.name}. Expected a .weights.h5 or .keras file of a network "
            f"that was built with the same arguments. Reason: {reason}"
        ) from error


def _build_preset(builder, name, arguments, signature):
    """Build a pretrained network, including its reconstruction decoder.

    Raise ValueError if there is no such preset, or if an argument contradicts it.
    """
    if name not in preset_names():
        close = get_close_matches(name, preset_names(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"weights={name!r} is neither a file nor a preset.{hint} Presets: {', '.join(preset_names())}."
        )
    preset = read_preset(name)
    defaults = {key: parameter.default for key, parameter in signature.parameters.items()}
    for key, value in arguments.items():
        expected = preset.arguments.get(key, defaults[key])
        if key not in _FREE and _comparable(value) != _comparable(expected):
            raise ValueError(
                f"weights={name!r} fixes the architecture: {key}={expected!r}. Received: {key}={value!r}. "
                f"Leave {key} out, or train a network of your own with weights=None.{_ADVICE.get(key, '')}"
            )
    free = {key: value for key, value in arguments.items() if key in _FREE}
    model = attach_reconstruction(
        builder(**preset.arguments, **free),
        decoder=preset.decoder,
        weight=preset.reconstruction_weight,
    )
    preset.load_into(model)
    return model


def _comparable(value):
    """Convert a list to a tuple, and return any other value unchanged.

    So [8, 8, 1] and (8, 8, 1) are equal.
    """
    return tuple(value) if isinstance(value, list) else value
