"""Convolution grouped by capsule: each capsule of the output sees one capsule of the input."""

import math

import keras
from keras import ops

from encapnet_tf.ops.acceleration import compiled, jitted_helpers, portable_to
from encapnet_tf.ops.convolution import lowerings, tap_products

# Which lowering serves which capsule was measured: results/grouped_conv.md. (TensorFlow has no gradient kernel for
# grouped convolution on a CPU: Keras compiles `Conv2D(groups=32)` with XLA, tens to hundreds of times slower.)

# Entries of a capsule's matrix: from so many on, a 1x1 kernel is a matrix product that has enough to do. Below, in a
# training step, products and sums in one compiled pass, for memory is the limit; else a dense kernel of mostly zeros.
_MATMUL_FROM = 64
# The same for a 3x3 kernel in a training step: up to so many, products and sums; beyond, a matrix product a tap.
_PRODUCTS_UP_TO = 64
# Components that a 3x3 kernel takes to one output. From so many on, TensorFlow's depthwise convolution and a sum: its
# weakness, a share of each output for each component, is none here.
_DEPTHWISE_FROM = 8
# Filters of a dense convolution. Up to so many, one matrix product and shifts: a convolution kernel fills its vectors
# with filters.
_NARROW = 2
# Positions of the output map and channels of a dense kernel, strided or of 5x5 or more: on a map no larger and from so
# many channels on, a matrix product for each tap that meets the map (4x4x512: 34 ms for 108, results/dense_conv.md).
# Convolution kernels split the work by position, and multiply the zeros around the map too, up to half of all. Not
# strided in inference: cutting out the pixels costs too much where it is not compiled.
_SMALL_MAP = 36
_WIDE = 128
# Entries of an image's map that a strided dense convolution takes, in a training step. From so many on, the padded copy
# is made again for the gradient: kept, it costs memory. On smaller maps making it twice costs more than it saves.
_LARGE_MAP = 2**15


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
    x, kernel = ops.convert_to_tensor(x), ops.convert_to_tensor(kernel)
    _check(x.shape, kernel.shape, groups)
    if not _splits_groups():
        return lowerings.native(x, kernel, strides)
    return _dense(x, kernel, strides, training) if groups == 1 else _grouped(x, kernel, groups, strides, training)


def _dense(x, kernel, strides, training):
    helpers = jitted_helpers(training, x, kernel)
    size = _square(kernel)
    if helpers and kernel.shape[3] <= _NARROW and strides <= 2:
        return compiled(lowerings.narrow_convolution, (x, kernel), (strides,), training)
    if size and size > 1 and (size > 3 or strides > 1) and _is_wide(x, kernel, strides):
        if helpers:
            return helpers.taps_convolution(x, kernel, strides)
        if strides == 1 and not training and portable_to() is None:
            return tap_products.convolution(x, kernel, strides)
    if helpers and size and size > 1 and strides > 1 and math.prod(x.shape[1:]) >= _LARGE_MAP:
        return helpers.strided_convolution(x, kernel, strides)
    return lowerings.native(x, kernel, strides)


def _grouped(x, kernel, groups, strides, training):
    if portable_to() == "litert":
        from encapnet_tf.ops import on_tensorflow

        return on_tensorflow.grouped_convolution(x, kernel, strides)
    size = _square(kernel)
    if size == 1 and strides > 1:
        x, strides = x[:, ::strides, ::strides], 1
    if size == 1 and _entries(kernel, groups) >= _MATMUL_FROM:
        return lowerings.matmuls([(x, kernel[0, 0])], groups)
    helpers = jitted_helpers(training, x, kernel)
    to_one = size == 3 and kernel.shape[3] == groups and kernel.shape[2] >= _DEPTHWISE_FROM
    if helpers and size in (1, 3) and strides <= 2 and not to_one:
        if _entries(kernel, groups) <= _PRODUCTS_UP_TO:
            return helpers.convolution(x, kernel, groups, strides)
        static = (groups, strides, lowerings.matmuls)
        return compiled(lowerings.convolution, (x, kernel), static, training)
    return (lowerings.block_diagonal if size == 1 else lowerings.depthwise)(x, kernel, groups, strides)


def grouped_conv2d_transpose(x, kernel, groups: int, output_size, training: bool = False):
    """Transposed 3x3 convolution to the same or twice the size: the generator of a feedback unit (section 3.2).

    It is the convolution of a map with a zero put after each pixel (and column) where the size doubles; the kernel is
    that convolution's. (PyTorch's `ConvTranspose2d` turns its kernel round; `interop` does.)

    Args:
        x: (batch, height, width, in_channels), height and width known.
        kernel: (3, 3, in_channels / groups, out_channels).
        groups: number of groups (capsules); 1 is dense.
        output_size: (height, width) of the output; each is the input's, twice that, or twice that less 1.
        training: as in `grouped_conv2d`.

    Returns:
        (batch, *output_size, out_channels), in the dtype of `x`.

    Raises:
        ValueError: a size is none of these, the kernel is not 3x3, or as `grouped_conv2d`.

    Example:

    >>> import numpy as np
    >>> kernel = np.ones((3, 3, 2, 8), "float32")
    >>> tuple(grouped_conv2d_transpose(np.ones((1, 4, 4, 8), "float32"), kernel, 4, output_size=(8, 7)).shape)
    (1, 8, 7, 8)
    """
    x, kernel = ops.convert_to_tensor(x), ops.convert_to_tensor(kernel)
    _check(x.shape, kernel.shape, groups)
    sizes, output_size = tuple(x.shape[1:3]), tuple(output_size)
    fits = all(m in (n, 2 * n, 2 * n - 1) for n, m in zip(sizes, output_size, strict=True))
    if tuple(kernel.shape[:2]) != (3, 3) or not fits:
        raise ValueError(
            "grouped_conv2d_transpose takes a 3x3 kernel to the input's size, twice that, or twice that less 1. "
            f"Received: kernel {tuple(kernel.shape)}, input size {sizes}, output_size={output_size}."
        )
    doubles = [m > n for n, m in zip(sizes, output_size, strict=True)]
    if not all(doubles):
        for axis in (1, 2):
            x = _spread(x, axis, output_size[axis - 1]) if doubles[axis - 1] else x
        return grouped_conv2d(x, kernel, groups, 1, training)
    helpers = jitted_helpers(training, x, kernel) if groups > 1 and _splits_groups() else None
    if helpers and _entries(kernel, groups) <= _PRODUCTS_UP_TO:
        return helpers.doubling_convolution(x, kernel, groups, output_size)
    if helpers:
        static = (groups, output_size, lowerings.matmuls)
        return compiled(lowerings.doubling_convolution, (x, kernel), static, training)
    return grouped_conv2d(_spread(_spread(x, 1, output_size[0]), 2, output_size[1]), kernel, groups, 1, training)


def _splits_groups():
    """Whether this backend is better off without its own grouped convolution."""
    if keras.backend.backend() != "tensorflow":
        return False
    from encapnet_tf.ops import on_tensorflow

    return portable_to() is not None or not on_tensorflow.has_gpu()


def _square(kernel):
    """The side of a square kernel, or None."""
    return kernel.shape[0] if kernel.shape[0] == kernel.shape[1] else None


def _is_wide(x, kernel, strides):
    """Whether a dense kernel has many channels and its output map is small."""
    if None in x.shape[1:3] or min(kernel.shape[2:]) < _WIDE:
        return False
    return -(-x.shape[1] // strides) * -(-x.shape[2] // strides) <= _SMALL_MAP


def _entries(kernel, groups):
    """Entries of one capsule's matrix (at one kernel position)."""
    return kernel.shape[2] * kernel.shape[3] // groups


def _spread(x, axis, size):
    """Puts a zero after each entry of an axis, to `size` entries."""
    pairs = ops.stack([x, ops.zeros_like(x)], axis=axis + 1)
    shape = list(ops.shape(x))
    shape[axis] = 2 * x.shape[axis]
    x = ops.reshape(pairs, shape)
    return x[:, :size] if axis == 1 else x[:, :, :size]


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
