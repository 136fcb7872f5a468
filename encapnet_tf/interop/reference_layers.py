"""Weight names and layouts that reference implementations of capsule layers use."""

import numpy as np

from encapnet_tf import layers
from encapnet_tf.interop.assignment import Target


def pytorch_kernel(array: np.ndarray) -> np.ndarray:
    """Convert a convolution kernel from PyTorch's layout (out, in, height, width) to (height, width, in, out)."""
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
    if isinstance(layer, layers.SelfAttentionRouting):  # (output, input, input component, output component)
        targets = {
            "W": (layer.kernel, lambda w: w.transpose(1, 2, 0, 3)),
            "b": (layer.bias, lambda b: b.transpose(1, 0, 2)[..., 0]),
        }
    elif isinstance(layer, layers.DynamicRouting) and not layer.use_bias:
        targets = {"W": (layer.kernel, lambda w: w.transpose(1, 3, 0, 2))}  # (output, input, its component, its own)
    elif isinstance(layer, (layers.InvertedAttentionRouting, layers.InvertedAttentionConv2D)):
        targets = _inverted_attention(layer)
    elif isinstance(layer, layers.SelfRouting2D):
        targets = _self_routing(layer)
    elif isinstance(layer, layers.ConvRouting3D):
        targets = {
            "W": (layer.kernel, lambda w: w[:, :, :, 0].transpose(1, 2, 0, 3)),
            "b": (layer.bias, lambda b: b[..., 0, 0]),
        }
    return {prefix + name: target for name, target in targets.items()}


def _inverted_attention(layer):
    """Map the PyTorch weight names of an inverted dot-product attention layer to Keras variables.

    Each value is a pair (variable, function that converts an array to Keras's layout). The last two
    axes of the kernel are swapped if the poses are matrices.
    """

    def kernel(array):
        ndim = 4 if isinstance(layer, layers.InvertedAttentionRouting) else 6
        if array.ndim != ndim:
            raise ValueError
        array = np.swapaxes(array, -1, -2) if layer.pose == "matrix" else array
        return array.reshape(-1, *array.shape[-3:])  # the places of a convolution's kernel become input capsules

    targets = {"w": (layer.kernel, kernel)}
    if layer.gamma is not None:
        targets["nonlinear_act.weight"] = (layer.gamma, as_stored)
        targets["nonlinear_act.bias"] = (layer.beta, as_stored)
    return targets


def _self_routing(layer):
    """Return a dictionary from the PyTorch weight names of a self-routing layer to Keras variables.

    Each value is a pair (variable, function that converts an array to Keras's layout). In PyTorch,
    the kernel of the votes has the shape (input, output * component, input component).
    """
    targets = {
        "W2": (layer.routing_kernel, lambda w: w.transpose(0, 2, 1)),
        "b2": (layer.bias, lambda b: b.reshape(b.shape[-2:])),
    }
    if layer.kernel is not None:
        outputs, dim = layer.kernel.shape[2:]
        targets["W1"] = (layer.kernel, lambda w: w.reshape(len(w), outputs, dim, -1).transpose(0, 3, 1, 2))
    return targets
