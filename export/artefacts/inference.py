"""Functions that remove training-only regularisers and decoders from a trained model before export.

Class capsules become an output beside their lengths.
"""

import keras

from encapnet_tf import strip_feedback, strip_reconstruction
from encapnet_tf.layers import Reconstruction
from encapnet_tf.layers.feedback_agreement import units_of
from encapnet_tf.model_copies import clone_uncompiled

from ...trainers.runs.errors import UserError
from .full_precision import copy_weights, float32_by_default, float32_inputs, float32_layer, half_precision

_CAPSULES = "class_capsules"  # name of the last capsule layer of all networks in encapnet_tf.models


def inference_model(model) -> keras.Model:
    """Return an inference-only version of a trained model, which shares the trained weights.

    If the model computes in half precision, the network is rebuilt in float32 and the weights are copied.

    Args:
        model: images (batch, height, width, channels) -> scores (batch, classes); a functional model or a Sequential,
            with or without feedback units and a reconstruction decoder.

    Returns:
        A functional model with outputs {"lengths": (batch, classes)} and, where the network has class capsules,
        "capsules": (batch, classes, capsule_dim).

    Raises:
        UserError: the model has another form, its feedback units cannot be removed, or a layer cannot be rebuilt in
            float32.
    """
    _require_image_classifier(model)
    network = keras.Model(model.inputs[0], model.outputs[0], name=model.name)  # not compiled
    try:
        units, decoders = training_only_layers(network)
        network = strip_feedback(network) if units else network
        network = strip_reconstruction(network) if decoders else network
    except ValueError as error:
        raise UserError(f"The feedback units cannot be removed: {error}") from None
    tensors = {}

    def call_and_record(layer, *args, **kwargs):
        tensors[layer.name] = layer(*args, **kwargs)
        return tensors[layer.name]

    # The layers are called again, because `layer.output` belongs to their first call: the trained graph with the units.
    if half_precision(network) is None:
        functional = clone_uncompiled(
            network, network.input, clone_function=lambda layer: layer, call_function=call_and_record
        )
    else:
        with float32_by_default():
            functional = clone_uncompiled(
                network, float32_inputs(network), clone_function=float32_layer, call_function=call_and_record
            )
        copy_weights(functional, network)
    outputs = {"lengths": functional.output}
    if _CAPSULES in tensors:
        outputs["capsules"] = tensors[_CAPSULES]
    return keras.Model(functional.input, outputs, name=network.name)


def training_only_layers(model) -> tuple[list, list]:
    """Return the Sinkhorn-divergence regularisers and the reconstruction decoders of a Keras model, as two lists."""
    return units_of(model), [layer for layer in model.layers if isinstance(layer, Reconstruction)]


def _require_image_classifier(model):
    shapes = [[tuple(tensor.shape) for tensor in getattr(model, side, None) or []] for side in ("inputs", "outputs")]
    (inputs, outputs) = shapes
    is_image_classifier = len(inputs) == len(outputs) == 1 and len(inputs[0]) == 4 and len(outputs[0]) == 2
    if not is_image_classifier or None in inputs[0][1:] or None in outputs[0][1:]:
        raise UserError(
            f"Only functional or Sequential models with one input (batch, height, width, channels) of known size and "
            f"one output (batch, classes) can be exported. {getattr(model, 'name', type(model).__name__)} has inputs "
            f"{inputs} and outputs {outputs}."
        )
