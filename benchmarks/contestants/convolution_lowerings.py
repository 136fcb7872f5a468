"""Ways to compute a convolution grouped by capsule: the library's own and every other that was thought of.

All take x (batch, height, width, groups * dim_in), capsule-major, and the canonical kernel (k, k, dim_in,
groups * dim_out), and pad symmetrically. They are written here, apart from the library, so that the comparison stays
when the library changes its mind.
"""

from keras import ops

import encapnet_tf as en


def ours(x, kernel, groups, strides):
    """What the library does in training."""
    return en.ops.grouped_conv2d(x, kernel, groups, strides, training=True)


def ours_inference(x, kernel, groups, strides):
    """What the library does in inference."""
    return en.ops.grouped_conv2d(x, kernel, groups, strides, training=False)


def native(x, kernel, groups, strides):
    """`keras.layers.Conv2D(groups=...)`: on TensorFlow and a CPU Keras compiles it with XLA."""
    return ops.conv(_padded(x, kernel), kernel, strides, padding="valid", data_format="channels_last")


def pads_inside(x, kernel, groups, strides):
    """TensorFlow's convolution, which pads by itself."""
    import tensorflow as tf

    margins = [(size // 2, size // 2) for size in kernel.shape[:2]]
    return tf.nn.conv2d(x, kernel, strides, [(0, 0), *margins, (0, 0)])


def split(x, kernel, groups, strides):
    """One convolution a capsule."""
    kernels = ops.split(kernel, groups, axis=-1)
    return ops.concatenate(
        [native(part, k, 1, strides) for part, k in zip(ops.split(x, groups, axis=-1), kernels, strict=True)], axis=-1
    )


def block_diagonal(x, kernel, groups, strides):
    """Dense convolution, the kernel zero between capsules: `groups` times the work."""
    return native(x, dense_kernel(kernel, groups), 1, strides)


def dense_kernel(kernel, groups):
    """(k, k, dim_in, groups * dim_out) -> (k, k, groups * dim_in, groups * dim_out), zero between capsules."""
    rows, columns, dim_in, filters = kernel.shape
    own = ops.reshape(ops.eye(groups, dtype=kernel.dtype), (1, 1, groups, 1, groups, 1))
    blocks = ops.reshape(kernel, (rows, columns, 1, dim_in, groups, filters // groups)) * own
    return ops.reshape(blocks, (rows, columns, groups * dim_in, filters))


def depthwise(x, kernel, groups, strides):
    """Depthwise convolution with dim_out outputs a channel, then the sum over dim_in."""
    rows, columns, dim_in, filters = kernel.shape
    shares = ops.transpose(ops.reshape(kernel, (rows, columns, dim_in, groups, -1)), (0, 1, 3, 2, 4))
    shares = ops.reshape(shares, (rows, columns, groups * dim_in, filters // groups))
    y = ops.depthwise_conv(_padded(x, kernel), shares, strides, padding="valid", data_format="channels_last")
    y = ops.reshape(y, (*y.shape[:3], groups, dim_in, filters // groups))
    return ops.reshape(ops.sum(y, axis=-2), (*y.shape[:3], filters))


def component_major(x, kernel, groups, strides):
    """One depthwise convolution an output component, on components-first channels, so that the sums are over blocks."""
    rows, columns, dim_in, filters = kernel.shape
    x = _padded(x, kernel)
    x = ops.reshape(ops.swapaxes(ops.reshape(x, (*x.shape[:3], groups, dim_in)), -1, -2), x.shape)
    by_output = ops.reshape(kernel, (rows, columns, dim_in, groups, filters // groups))

    def component(o):
        shares = ops.reshape(by_output[..., o], (rows, columns, dim_in * groups, 1))
        y = ops.depthwise_conv(x, shares, strides, padding="valid", data_format="channels_last")
        return ops.sum(ops.reshape(y, (*y.shape[:3], dim_in, groups)), axis=-2)

    y = ops.stack([component(o) for o in range(filters // groups)], axis=-1)
    return ops.reshape(y, (*y.shape[:3], filters))


def patches_matmul(x, kernel, groups, strides):
    """The shifted inputs side by side, then one matrix product a capsule; a 1x1 kernel needs no shifts."""
    rows, columns, dim_in, filters = kernel.shape
    shifted = ops.stack(list(_shifts(x, kernel, groups, strides)), axis=-2)  # (..., groups, k * k, dim_in)
    lead = shifted.shape[:3]
    taps = rows * columns * dim_in
    left = ops.transpose(ops.reshape(shifted, (-1, groups, taps)), (1, 0, 2))
    right = ops.transpose(ops.reshape(kernel, (taps, groups, filters // groups)), (1, 0, 2))
    return ops.reshape(ops.transpose(ops.matmul(left, right), (1, 0, 2)), (*lead, filters))


def multiply_add(x, kernel, groups, strides):
    """Products written out, kernel position by position and component by component, for XLA to fuse."""
    rows, columns, dim_in, filters = kernel.shape
    taps = ops.reshape(kernel, (rows * columns, dim_in, groups, filters // groups))
    y = 0.0
    for position, shifted in enumerate(_shifts(x, kernel, groups, strides)):
        for i in range(dim_in):
            y = y + shifted[..., i : i + 1] * taps[position, i]
    return ops.reshape(y, (*y.shape[:3], filters))


def _padded(x, kernel):
    rows, columns = (size // 2 for size in kernel.shape[:2])
    return ops.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0))) if rows or columns else x


def _shifts(x, kernel, groups, strides):
    """The input of each kernel position, (batch, out height, out width, groups, dim_in)."""
    _, height, width, channels = x.shape
    padded = _padded(x, kernel)
    for row in range(kernel.shape[0]):
        for column in range(kernel.shape[1]):
            part = padded[:, row : row + height : strides, column : column + width : strides]
            yield ops.reshape(part, (*part.shape[:3], groups, channels // groups))
