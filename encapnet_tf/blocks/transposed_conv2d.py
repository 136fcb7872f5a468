"""Transposed 2-D convolution layer, either grouped (one group per capsule) or dense."""

from encapnet_tf import ops
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D


class TransposedConv2D(GroupedConv2D):
    """Transposed 3x3 convolution layer with a fixed output size, either grouped (one group per capsule) or dense.

    It is the first layer of a feedback unit's generator for feature maps.

    Args:
        filters: output channels.
        output_size: (height, width) of the output; each is the input's size n, or 2 n, or 2 n - 1.
        groups: number of groups, as in `GroupedConv2D`.
        **kwargs: further arguments of `GroupedConv2D`.

    Call arguments:
        inputs: (batch, height, width, channels).

    Returns:
        (batch, *output_size, filters).
    """

    def __init__(self, filters, output_size, groups=1, **kwargs):
        super().__init__(filters, 3, 1, groups, **kwargs)
        self.output_size = tuple(output_size)

    def call(self, inputs, training=None):
        outputs = ops.grouped_conv2d_transpose(inputs, self.kernel, self.groups, self.output_size, bool(training))
        return outputs + self.bias

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.output_size, self.filters)
