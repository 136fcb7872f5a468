"""Ways to compute the generator's transposed convolution grouped by capsule, to twice the size.

The kernel is the canonical one of the convolution that follows when zeros are put between the pixels. All add a bias,
as the library's layer does.
"""

from keras import ops

from benchmarks.contestants import convolution_lowerings as lowerings
from encapnet_tf.blocks.transposed_conv2d import TransposedConv2D


def ours(size, groups, dim_in, dim_out, training):
    """What the library's generator does, as a function of (x, kernel, bias); its variables are made here, outside."""
    layer = TransposedConv2D(groups * dim_out, (size, size), groups)
    layer.build((None, size // 2, size // 2, groups * dim_in))
    return lambda x, kernel, bias: layer.stateless_call([kernel, bias], [], x, training=training)[0]


def zeros_between(lowering, size, groups):
    """Zeros between the pixels, then a convolution like any other."""

    def function(x, kernel, bias):
        x = ops.stack([x, ops.zeros_like(x)], axis=2)  # rows
        x = ops.reshape(x, (x.shape[0], size, x.shape[3], x.shape[4]))
        x = ops.stack([x, ops.zeros_like(x)], axis=3)  # columns
        x = ops.reshape(x, (x.shape[0], size, size, x.shape[4]))
        return lowering(x, kernel, groups, 1) + bias

    return function


def dense_transposed(size, groups):
    """TensorFlow's dense transposed convolution, the kernel zero between capsules."""

    def function(x, kernel, bias):
        # The transposed kernel is the mirrored one, its last two axes exchanged.
        mirrored = ops.swapaxes(lowerings.dense_kernel(kernel, groups)[::-1, ::-1], 2, 3)
        y = ops.conv_transpose(
            x, mirrored, 2, padding="valid", output_padding=None, data_format="channels_last"
        )  # (batch, size + 1, size + 1, channels): one row and column too many before
        return y[:, 1 : size + 1, 1 : size + 1] + bias

    return function
