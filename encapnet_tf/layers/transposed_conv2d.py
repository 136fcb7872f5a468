"""Transposed convolution grouped by capsule: from a higher layer's map back to the lower layer's."""

import keras

from encapnet_tf.layers.grouped_conv2d import GroupedConv2D


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
        # Between the pixels of a stride 2 there are zeros; then it is a convolution like any other.
        x = inputs
        for axis, size in zip((1, 2), self.output_size, strict=True):
            x = _spread(x, axis, size)
        return super().call(x, training=training)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.output_size, self.filters)


def _spread(x, axis, size):
    if x.shape[axis] == size:
        return x
    pairs = keras.ops.stack([x, keras.ops.zeros_like(x)], axis=axis + 1)
    shape = list(keras.ops.shape(x))
    shape[axis] = 2 * x.shape[axis]
    x = keras.ops.reshape(pairs, shape)
    return x[:, :size] if axis == 1 else x[:, :, :size]
