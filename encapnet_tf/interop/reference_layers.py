"""Weight names and layouts that reference implementations of capsule layers use."""

import numpy as np

from encapnet_tf import layers
from encapnet_tf.interop.assignment import Target


def pytorch_kernel(array: np.ndarray) -> np.ndarray:
    """Convert a convolution kernel from PyTorch's layout to Keras's layout.

    From (out, in, height, width) to (height, width, in, out).
    """
    return array.transpose(2, 3, 1, 0)


def as_stored(array: np.ndarray) -> np.ndarray:
    """Return a weight array unchanged, because it already has Keras's layout."""
    return array


def capsule_layer_targets(layer, prefix: str = "") -> dict[str, Target]:
    """Return a dictionary from weight names in a reference implementation to the variables of a capsule layer.

    Args:
        layer: a built capsule layer.
        prefix: text before every name.

    Returns:
        Name -> (variable, conversion); empty for a layer that the reference implementations do not have.
    """
    targets: dict[str, Target] = {}
    if isinstance(layer, layers.SelfAttentionRouting):
        inputs, input_dim, outputs, dim = layer.kernel.shape
        targets = {
            "W": (layer.kernel, _from((outputs, inputs, input_dim, dim), lambda w: w.transpose(1, 2, 0, 3))),
            "b": (layer.bias, _from((outputs, inputs, 1), lambda b: b[..., 0].T)),
        }
    elif isinstance(layer, layers.DynamicRouting) and not layer.use_bias:
        inputs, input_dim, outputs, dim = layer.kernel.shape
        targets = {"W": (layer.kernel, _from((outputs, inputs, dim, input_dim), lambda w: w.transpose(1, 3, 0, 2)))}
    elif isinstance(layer, (layers.InvertedAttentionRouting, layers.InvertedAttentionConv2D)):
        targets = _inverted_attention(layer)
    elif isinstance(layer, layers.SelfRouting2D):
        targets = _self_routing(layer)
    elif isinstance(layer, layers.ConvRouting3D):
        height, width, input_dim, channels = layer.kernel.shape
        shape, of_bias = (input_dim, height, width, 1, channels), (*layer.bias.shape, 1, 1)
        targets = {
            "W": (layer.kernel, _from(shape, lambda w: w[:, :, :, 0].transpose(1, 2, 0, 3))),
            "b": (layer.bias, _from(of_bias, lambda b: b[..., 0, 0])),
        }
    return {prefix + name: target for name, target in targets.items()}


def _from(shape, convert):
    """Wrap an array conversion function so that it first checks the shape of the array."""

    def checked(array):
        if array.shape != tuple(shape):
            raise ValueError
        return convert(array)

    return checked


def _inverted_attention(layer):
    """Map weight names in the reference implementation to the variables of an inverted dot-product attention layer.

    With matrix poses, the reference kernel has the output capsules as its last axis.
    """
    inputs, columns, outputs, output_columns = layer.kernel.shape
    last = (output_columns, outputs) if layer.pose == "matrix" else (outputs, output_columns)
    shape: tuple[int, ...] = (inputs, columns, *last)
    if isinstance(layer, layers.InvertedAttentionConv2D):  # the places of the kernel become input capsules
        shape = (*layer.kernel_size, layer.num_input_capsules, *shape[1:])

    def convert(w):
        w = w.swapaxes(-1, -2) if layer.pose == "matrix" else w
        return w.reshape(layer.kernel.shape)

    targets = {"w": (layer.kernel, _from(shape, convert))}
    if layer.gamma is not None:
        targets["nonlinear_act.weight"] = (layer.gamma, as_stored)
        targets["nonlinear_act.bias"] = (layer.beta, as_stored)
    return targets


def _self_routing(layer):
    """Map weight names in the reference implementation to the variables of a self-routing layer.

    The reference kernel of the votes has shape (input, output * component, input component).
    """
    inputs, input_dim, outputs = layer.routing_kernel.shape
    targets = {
        "W2": (layer.routing_kernel, _from((inputs, outputs, input_dim), lambda w: w.transpose(0, 2, 1))),
        "b2": (layer.bias, _from((1, 1, inputs, outputs), lambda b: b[0, 0])),
    }
    if layer.kernel is not None:
        dim = layer.kernel.shape[-1]
        of_votes = (inputs, outputs, dim, input_dim)
        convert = _from((inputs, outputs * dim, input_dim), lambda w: w.reshape(of_votes).transpose(0, 3, 1, 2))
        targets["W1"] = (layer.kernel, convert)
    return targets
