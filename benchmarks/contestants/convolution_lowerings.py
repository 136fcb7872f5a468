"""Benchmarked implementations of grouped convolution and grouped transposed convolution in Keras.

The groups are capsules. The library's own implementation is one of them.

All take x (batch, height, width, groups * dim_in), capsule-major, and the canonical kernel (k, k, dim_in,
groups * dim_out), and pad symmetrically. They are written here, apart from the library, so that the comparison stays
possible when the library chooses another one. The transposed ones, of the feedback unit's generator, return a function
of (x, kernel, bias) that doubles the size; the kernel is that of the convolution that follows after zeros are inserted
between the pixels.
"""

from keras import ops as K

import encapnet_tf as en
from encapnet_tf.blocks.transposed_conv2d import TransposedConv2D


def ours(x, kernel, groups, strides):
    """Compute a grouped convolution with this package's `grouped_conv2d` in training mode.

    That is with `training=True`.
    """
    return en.ops.grouped_conv2d(x, kernel, groups, strides, training=True)


def ours_inference(x, kernel, groups, strides):
    """Compute a grouped convolution with this package's `grouped_conv2d` in inference mode.

    That is with `training=False`.
    """
    return en.ops.grouped_conv2d(x, kernel, groups, strides, training=False)


def native(x, kernel, groups, strides):
    """Compute a grouped convolution with `keras.ops.conv`.

    It is the operation of `keras.layers.Conv2D(groups=...)`, which Keras compiles with XLA on TensorFlow and a CPU.
    """
    return K.conv(_padded(x, kernel), kernel, strides, padding="valid", data_format="channels_last")


def pads_inside(x, kernel, groups, strides):
    """Compute a convolution with TensorFlow's explicit padding, which avoids a padded copy of the input."""
    import tensorflow as tf

    margins = [(size // 2, size // 2) for size in kernel.shape[:2]]
    return tf.nn.conv2d(x, kernel, strides, [(0, 0), *margins, (0, 0)])


def split(x, kernel, groups, strides):
    """Compute a grouped convolution as one separate convolution for each group, and concatenate the results."""
    kernels = K.split(kernel, groups, axis=-1)
    return K.concatenate(
        [native(part, k, 1, strides) for part, k in zip(K.split(x, groups, axis=-1), kernels, strict=True)], axis=-1
    )


def block_diagonal(x, kernel, groups, strides):
    """Compute a grouped convolution as a dense convolution with a block-diagonal kernel.

    That is `groups` times the work.
    """
    return native(x, dense_kernel(kernel, groups), 1, strides)


def dense_kernel(kernel, groups):
    """Expand a grouped convolution's kernel to the block-diagonal kernel of an equivalent dense convolution.

    Its shape is (k, k, groups * dim_in, groups * dim_out).
    """
    rows, columns, dim_in, filters = kernel.shape
    identity = K.reshape(K.eye(groups, dtype=kernel.dtype), (1, 1, groups, 1, groups, 1))
    blocks = K.reshape(kernel, (rows, columns, 1, dim_in, groups, filters // groups)) * identity
    return K.reshape(blocks, (rows, columns, groups * dim_in, filters))


def depthwise(x, kernel, groups, strides):
    """Compute a grouped convolution as a depthwise convolution followed by sums within each group.

    The depthwise convolution has dim_out outputs for each channel. The sums are over dim_in.
    """
    rows, columns, dim_in, filters = kernel.shape
    shares = K.transpose(K.reshape(kernel, (rows, columns, dim_in, groups, -1)), (0, 1, 3, 2, 4))
    shares = K.reshape(shares, (rows, columns, groups * dim_in, filters // groups))
    y = K.depthwise_conv(_padded(x, kernel), shares, strides, padding="valid", data_format="channels_last")
    y = K.reshape(y, (*y.shape[:3], groups, dim_in, filters // groups))
    return K.reshape(K.sum(y, axis=-2), (*y.shape[:3], filters))


def component_major(x, kernel, groups, strides):
    """Compute a grouped convolution by several depthwise convolutions, one for each output channel of a group.

    The channels are ordered component-major.
    """
    rows, columns, dim_in, filters = kernel.shape
    x = _padded(x, kernel)
    x = K.reshape(K.swapaxes(K.reshape(x, (*x.shape[:3], groups, dim_in)), -1, -2), x.shape)
    by_output = K.reshape(kernel, (rows, columns, dim_in, groups, filters // groups))

    def convolve_component(o):
        shares = K.reshape(by_output[..., o], (rows, columns, dim_in * groups, 1))
        y = K.depthwise_conv(x, shares, strides, padding="valid", data_format="channels_last")
        return K.sum(K.reshape(y, (*y.shape[:3], dim_in, groups)), axis=-2)

    y = K.stack([convolve_component(o) for o in range(filters // groups)], axis=-1)
    return K.reshape(y, (*y.shape[:3], filters))


def patches_matmul(x, kernel, groups, strides):
    """Compute a grouped convolution as im2col followed by one matrix product for each group."""
    rows, columns, dim_in, filters = kernel.shape
    shifted = K.stack(list(_shifts(x, kernel, groups, strides)), axis=-2)  # (..., groups, k * k, dim_in)
    lead = shifted.shape[:3]
    taps = rows * columns * dim_in
    left = K.transpose(K.reshape(shifted, (-1, groups, taps)), (1, 0, 2))
    right = K.transpose(K.reshape(kernel, (taps, groups, filters // groups)), (1, 0, 2))
    return K.reshape(K.transpose(K.matmul(left, right), (1, 0, 2)), (*lead, filters))


def multiply_add(x, kernel, groups, strides):
    """Compute a grouped convolution as elementwise multiply-adds that XLA can fuse.

    There is one for each kernel position and component.
    """
    rows, columns, dim_in, filters = kernel.shape
    taps = K.reshape(kernel, (rows * columns, dim_in, groups, filters // groups))
    y = 0.0
    for position, shifted in enumerate(_shifts(x, kernel, groups, strides)):
        for i in range(dim_in):
            y = y + shifted[..., i : i + 1] * taps[position, i]
    return K.reshape(y, (*y.shape[:3], filters))


def ours_transposed(size, groups, dim_in, dim_out, *, training):
    """Return a function that computes a grouped transposed convolution with `encapnet_tf`'s `TransposedConv2D`.

    It is that of the feedback unit's generator.

    Its variables are created here, outside.
    """
    layer = TransposedConv2D(groups * dim_out, (size, size), groups)
    layer.build((None, size // 2, size // 2, groups * dim_in))
    return lambda x, kernel, bias: layer.stateless_call([kernel, bias], [], x, training=training)[0]


def zeros_between(lowering, size, groups):
    """Return a function that computes a transposed convolution by inserting zeros and applying a convolution.

    The convolution is a forward lowering.
    """

    def function(x, kernel, bias):
        x = K.stack([x, K.zeros_like(x)], axis=2)  # rows
        x = K.reshape(x, (x.shape[0], size, x.shape[3], x.shape[4]))
        x = K.stack([x, K.zeros_like(x)], axis=3)  # columns
        x = K.reshape(x, (x.shape[0], size, size, x.shape[4]))
        return lowering(x, kernel, groups, 1) + bias

    return function


def dense_transposed(size, groups):
    """Return a function that computes a grouped transposed convolution as a dense one with a block-diagonal kernel.

    The dense one is TensorFlow's.
    """

    def function(x, kernel, bias):
        # The transposed kernel is the mirrored one, its last two axes exchanged.
        mirrored = K.swapaxes(dense_kernel(kernel, groups)[::-1, ::-1], 2, 3)
        y = K.conv_transpose(
            x, mirrored, 2, padding="valid", output_padding=None, data_format="channels_last"
        )  # (batch, size + 1, size + 1, channels): the first row and column are surplus
        return y[:, 1 : size + 1, 1 : size + 1] + bias

    return function


def _padded(x, kernel):
    rows, columns = (size // 2 for size in kernel.shape[:2])
    return K.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0))) if rows or columns else x


def _shifts(x, kernel, groups, strides):
    """Yield a shifted copy of a convolution's input for each position in the kernel.

    The weights at that position multiply it. The shape of a copy is (batch, out height, out width, groups, dim_in).
    """
    _, height, width, channels = x.shape
    padded = _padded(x, kernel)
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            part = padded[:, row : row + height : strides, column : column + width : strides]
            yield K.reshape(part, (*part.shape[:3], groups, channels // groups))
