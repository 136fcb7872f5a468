"""Convolution grouped by capsule: each capsule of the output sees one capsule of the input."""

import keras
from keras import ops

# On TensorFlow `Conv2D(groups=32)` has no CPU gradient kernel, so Keras compiles it with XLA: 70 to 130 times slower
# than the lowerings below (and a compile-at-first-call function in every SavedModel). Which lowering is fast depends
# on kernel and capsule size. Forward + gradient, 2 cores, batch 64, 32 capsules, ms (block diagonal | depthwise |
# batched matmul): 1x1, dim 2: 11 | 39 | 22; dim 4: 8 | 25 | 10; dim 8: 6 | 16 | 3; dim 16: 7 | 15 | 2.
# 3x3 1->2: 25 | 21 | -; 2->4 stride 2: 27 | 30 | -; 4->8 stride 2: 30 | 23 | -; 8->16 stride 2: 35 | 15 | -.
_MATMUL_FROM_DIM = 8


def grouped_conv2d(x, kernel, groups: int, strides: int = 1, training: bool = False):
    """2-D convolution in which output group g sees input group g only; the mapping of a capConv layer (Eq. 6).

    Pads symmetrically, `kernel // 2` zeros on each side at every stride, as the paper's release does. (TensorFlow's
    "SAME" pads unevenly at stride 2.) Every backend and every lowering takes the same kernel.

    Args:
        x: (batch, height, width, in_channels).
        kernel: (kernel_height, kernel_width, in_channels / groups, out_channels), both sizes odd.
        groups: number of groups (capsules); 1 is an ordinary dense convolution.
        strides: step in both directions.
        training: whether a gradient will be taken; a hint for the choice of lowering, never of the values.

    Returns:
        (batch, ceil(height / strides), ceil(width / strides), out_channels), in the dtype of `x`.

    Raises:
        ValueError: `groups` does not divide the channels, the kernel does not fit them, or a kernel size is even.

    Example:

    >>> import numpy as np
    >>> y = grouped_conv2d(np.ones((1, 6, 4, 8), "float32"), np.ones((3, 3, 2, 16), "float32"), groups=4, strides=2)
    >>> tuple(y.shape)
    (1, 3, 2, 16)
    """
    del training  # One lowering serves both so far.
    x, kernel = ops.convert_to_tensor(x), ops.convert_to_tensor(kernel)
    _check(x.shape, kernel.shape, groups)
    x = _pad(x, kernel.shape[0] // 2, kernel.shape[1] // 2)
    if groups == 1 or keras.backend.backend() != "tensorflow":
        return _convolve(x, kernel, strides)
    if kernel.shape[:2] != (1, 1):
        return _depthwise(x, kernel, groups, strides)
    if kernel.shape[2] < _MATMUL_FROM_DIM:
        return _block_diagonal(x, kernel, groups, strides)
    return _batched_matmul(x[:, ::strides, ::strides], kernel, groups)


def _check(x_shape, kernel_shape, groups):
    if len(x_shape) != 4 or len(kernel_shape) != 4:
        raise ValueError(
            "grouped_conv2d expects x of shape (batch, height, width, channels) and a kernel of shape "
            f"(kernel_height, kernel_width, channels / groups, filters). Received: {x_shape} and {kernel_shape}."
        )
    if x_shape[-1] % groups or kernel_shape[-1] % groups:
        raise ValueError(
            f"groups must divide the channels of input and output. "
            f"Received: groups={groups}, {x_shape[-1]} input channels, {kernel_shape[-1]} output channels."
        )
    if kernel_shape[2] != x_shape[-1] // groups:
        raise ValueError(
            f"kernel.shape[2] must be input channels / groups = {x_shape[-1]} / {groups}. "
            f"Received: a kernel of shape {tuple(kernel_shape)}."
        )
    if not (kernel_shape[0] % 2 and kernel_shape[1] % 2):
        raise ValueError(f"Symmetric padding needs odd kernel sizes. Received: {tuple(kernel_shape[:2])}.")


def _pad(x, rows, columns):
    return ops.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0))) if rows or columns else x


def _convolve(x, kernel, strides):
    """The backend's own convolution; it reads the number of groups off the kernel."""
    return ops.conv(x, kernel, strides, padding="valid", data_format="channels_last")


def _block_diagonal(x, kernel, groups, strides):
    """Dense convolution whose kernel is zero between groups: `groups` times the work, in the fastest kernel."""
    height, width, group_in, filters = kernel.shape
    blocks = ops.reshape(kernel, (height, width, 1, group_in, groups, filters // groups))
    own = ops.reshape(ops.eye(groups, dtype=kernel.dtype), (1, 1, groups, 1, groups, 1))
    return _convolve(x, ops.reshape(blocks * own, (height, width, groups * group_in, filters)), strides)


def _depthwise(x, kernel, groups, strides):
    """Each input channel makes its share of every output of its group; the shares are then added up."""
    height, width, group_in, filters = kernel.shape
    group_out = filters // groups
    shares = ops.transpose(ops.reshape(kernel, (height, width, group_in, groups, group_out)), (0, 1, 3, 2, 4))
    shares = ops.reshape(shares, (height, width, groups * group_in, group_out))
    y = ops.depthwise_conv(x, shares, strides, padding="valid", data_format="channels_last")
    if group_in == 1:
        return y
    lead = ops.shape(y)[:3]
    return ops.reshape(ops.sum(ops.reshape(y, (*lead, groups, group_in, group_out)), axis=-2), (*lead, filters))


def _batched_matmul(x, kernel, groups):
    """A 1x1 convolution is one matrix product a group."""
    _, _, group_in, filters = kernel.shape
    lead = ops.shape(x)[:3]
    rows = ops.transpose(ops.reshape(x, (-1, groups, group_in)), (1, 0, 2))
    matrices = ops.transpose(ops.reshape(kernel, (group_in, groups, filters // groups)), (1, 0, 2))
    return ops.reshape(ops.transpose(ops.matmul(rows, matrices), (1, 0, 2)), (*lead, filters))
