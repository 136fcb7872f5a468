"""Functions that list the convolutions of a Keras model and count floating-point operations."""

import math
from typing import NamedTuple

import keras

from encapnet_tf.layers import CapConv2D, CapFC, GroupedConv2D


class Convolution(NamedTuple):
    """The input size, kernel shape, stride and number of groups of one convolution in a network.

    Attributes:
        size: input (height, width).
        kernel: (kernel_height, kernel_width, in_channels / groups, out_channels).
        strides: step in both directions.
        groups: 1 where it is dense.
    """

    size: tuple[int, int]
    kernel: tuple[int, int, int, int]
    strides: int
    groups: int

    @property
    def flops(self) -> int:
        """The number of floating-point operations in this convolution's forward pass for one image.

        A multiply-add is two.
        """
        positions = math.prod(-(-n // self.strides) for n in self.size)
        return 2 * positions * math.prod(self.kernel)


def convolutions(model):
    """Return all convolutions that a functional Keras model computes at inference.

    They are a list of `Convolution`. Layers of training-only regularisers are left out.
    """
    result = []
    for layer in model.layers:
        if isinstance(layer, CapConv2D):
            result += _of_cap_conv(layer)
        elif isinstance(layer, (GroupedConv2D, keras.layers.Conv2D)):
            result.append(_convolution(layer, _sizes(layer.input)))
    return result


def multiply_adds(model) -> int:
    """Return the number of multiply-adds in a network's forward pass for one image, counted by TensorFlow's profiler.

    It counts the convolutions and matrix products of the inference graph, and other operations such as additions as
    half a multiply-add each.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    function = tf.function(lambda images: model(images, training=False))
    graph = convert_variables_to_constants_v2(
        function.get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:])))
    ).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    profile = tf.compat.v1.profiler.profile(graph, options=options.with_empty_output().build())
    return profile.total_float_ops // 2


def forward_flops(model):
    """Return the number of floating-point operations in a network's forward pass for one image.

    Those of convolutions and dense layers are counted.

    A multiply-add is two. Feedback units are left out, so that their cost shows as lower speed, and so is iterative
    routing.

    Args:
        model: a functional model.
    """
    dense = [layer for layer in model.layers if isinstance(layer, (keras.layers.Dense, CapFC))]
    matrices = sum(2 * math.prod(layer.kernel.shape) for layer in dense)
    return matrices + sum(convolution.flops for convolution in convolutions(model))


def _of_cap_conv(layer):
    parts = [_convolution(layer.master, _sizes(layer.input))]
    if layer.shortcut_convolution:
        parts.append(_convolution(layer.shortcut, _sizes(layer.input)))
    if layer.routing == "master_aide":
        parts.append(_convolution(layer.aide, _sizes(layer.input)))
        parts += [_convolution(c, _sizes(layer.output)) for c in (layer.master_coefficient, layer.aide_coefficient)]
    return parts


def _sizes(tensors):
    """Return the height and width of a symbolic tensor, or of the first tensor in a list.

    The others are shortcuts.
    """
    return tuple(keras.tree.flatten(tensors)[0].shape[1:3])


def _convolution(layer, size):
    strides = layer.strides if isinstance(layer.strides, int) else layer.strides[0]
    return Convolution(size, tuple(layer.kernel.shape), strides, layer.groups)
