"""The network as it is served: stripped of its feedback units, with its class capsules beside their lengths."""

import keras

from encapnet_tf import strip_feedback
from encapnet_tf.layers.feedback_agreement import units_of

from ...trainers.runs.errors import UserError

_CAPSULES = "class_capsules"  # the layer that every network of ours ends with


def inference_model(model):
    """Makes the model that is exported; it shares the trained one's weights.

    Args:
        model: images (batch, height, width, channels) -> scores (batch, classes); a functional model or a Sequential,
            with or without feedback units.

    Returns:
        A functional model with outputs {"lengths": (batch, classes)} and, where the network has class capsules,
        "capsules": (batch, classes, capsule_dim).

    Raises:
        UserError: it is no such model, or units cannot be taken off it.
    """
    _check_form(model)
    try:
        served = strip_feedback(model) if units_of(model) else model
    except ValueError as error:
        raise UserError(f"The feedback units cannot be taken off: {error}") from None
    found = {}

    def call(layer, *args, **kwargs):
        found[layer.name] = layer(*args, **kwargs)
        return found[layer.name]

    # Called anew: a layer's own `output` is the one of its first call, in the trained graph with the units.
    functional = keras.Model(served.inputs[0], served.outputs[0], name=served.name)
    functional = keras.models.clone_model(
        functional, functional.input, clone_function=lambda layer: layer, call_function=call
    )
    outputs = {"lengths": functional.output}
    if _CAPSULES in found:
        outputs["capsules"] = found[_CAPSULES]
    return keras.Model(functional.input, outputs, name=served.name)


def unit_names(model) -> list:
    """Names of the feedback units of a trained model."""
    return [unit.name for unit in units_of(model)]


def _check_form(model):
    shapes = [[tuple(tensor.shape) for tensor in getattr(model, side, None) or []] for side in ("inputs", "outputs")]
    (inputs, outputs) = shapes
    fits = len(inputs) == len(outputs) == 1 and len(inputs[0]) == 4 and len(outputs[0]) == 2
    if not fits or None in inputs[0][1:] or None in outputs[0][1:]:
        raise UserError(
            f"Exported are functional or Sequential models with one input (batch, height, width, channels) of known "
            f"size and one output (batch, classes). {getattr(model, 'name', type(model).__name__)} has inputs {inputs} "
            f"and outputs {outputs}."
        )
