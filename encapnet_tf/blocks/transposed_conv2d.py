"""Transposed convolution grouped by capsule: from a higher layer's map back to the lower layer's."""

from encapnet_tf import ops
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D


class TransposedConv2D(GroupedConv2D):
    """3x3 transposed convolution to a given size, grouped or dense; part of `FeedbackAgreement`.

    Args:
        filters: output channels.
        output_size: (height, width) of the output; each is the input's, or twice that, or twice that less 1.
        groups: as in `GroupedConv2D`.
        **kwargs: as `GroupedConv2D`.

    Call arguments:
        inputs: (batch, height, width, channels).

    Returns:
        (batch, *output_size, filters).
    """

    def __init__(self, filters, output_size, groups=1, **kwargs):
        super().__init__(filters, 3, 1, groups, **kwargs)
        self.output_size = tuple(output_size)

    def call(self, inputs, training=None):
        y = ops.grouped_conv2d_transpose(inputs, self.kernel, self.groups, self.output_size, bool(training))
        return y + self.bias

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.output_size, self.filters)
