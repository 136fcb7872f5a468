"""Alternative implementations of grouped and grouped transposed convolution, written with `keras.ops`.

All take x (batch, height, width, groups * group_in), unpadded, and a kernel (kernel_height, kernel_width, group_in,
groups * group_out), and pad `kernel // 2` zeros on each side. Some work tap by tap, where a tap is one kernel position;
they take a function `contract` that multiplies each tap's input map by the tap's matrix and sums the products.
"""

import numpy as np
from keras import ops as K

# Most components of a capsule that `multiply_add` writes out one by one. For more, a reduction is as fast and compiles
# sooner.
_UNROLLED_COMPONENTS = 4


def native_convolution(x, kernel, strides):
    """Apply a grouped convolution with the Keras backend's own operation."""
    if strides == 1:  # "same" is symmetric then, and no padded copy is made
        return K.conv(x, kernel, 1, padding="same", data_format="channels_last")
    return K.conv(_pad(x, kernel), kernel, strides, padding="valid", data_format="channels_last")


def block_diagonal_convolution(x, kernel, groups, strides):
    """Compute a grouped convolution as a dense convolution whose kernel has zeros between different groups.

    This is `groups` times the work, in the fastest kernel.
    """
    return native_convolution(x, block_diagonal_kernel(kernel, groups), strides)


def block_diagonal_kernel(kernel, groups):
    """Convert the kernel of a grouped convolution to a dense kernel with zeros between different groups.

    Returns:
        (kernel_height, kernel_width, groups * group_in, groups * group_out).
    """
    height, width, group_in, filters = kernel.shape
    blocks = K.reshape(kernel, (height, width, 1, group_in, groups, filters // groups))
    # The mask is a constant of NumPy, so that graphs hold no operation that makes it.
    mask = K.convert_to_tensor(np.eye(groups).reshape(1, 1, groups, 1, groups, 1), kernel.dtype)
    return K.reshape(blocks * mask, (height, width, groups * group_in, filters))


def multi_group_convolutions(x, kernel, groups, strides, channels):
    """Compute a grouped convolution by several dense convolutions that each compute a few groups.

    The kernel of each is block-diagonal. Most of the products are with zeros then, but a dense convolution needs many
    channels to fill a processor's vector lanes or a GPU's matrix units.

    Args:
        x, kernel, groups, strides: as everywhere in this module.
        channels: input channels of a dense convolution, which has at least two groups.
    """
    group_in, group_out = kernel.shape[2], kernel.shape[3] // groups
    merged = max(2, channels // group_in)
    if merged >= groups:
        return block_diagonal_convolution(x, kernel, groups, strides)
    starts = list(range(merged, groups, merged))
    parts = [
        block_diagonal_convolution(part, weights, weights.shape[3] // group_out, strides)
        for part, weights in zip(
            K.split(x, [start * group_in for start in starts], axis=-1),
            K.split(kernel, [start * group_out for start in starts], axis=-1),
            strict=True,
        )
    ]
    return K.concatenate(parts, axis=-1)


def depthwise_convolution(x, kernel, groups, strides):
    """Compute a grouped convolution by a depthwise convolution and a sum over the input channels of each group."""
    height, width, group_in, filters = kernel.shape
    group_out = filters // groups
    by_channel = K.transpose(K.reshape(kernel, (height, width, group_in, groups, group_out)), (0, 1, 3, 2, 4))
    by_channel = K.reshape(by_channel, (height, width, groups * group_in, group_out))
    y = K.depthwise_conv(_pad(x, kernel), by_channel, strides, padding="valid", data_format="channels_last")
    if group_in == 1:
        return y
    lead = K.shape(y)[:3]
    return K.reshape(K.sum(K.reshape(y, (*lead, groups, group_in, group_out)), axis=-2), (*lead, filters))


def narrow_convolution(x, kernel, strides):
    """Compute a convolution with very few filters by one matrix product and a sum of shifted feature maps.

    The product is with all taps at every pixel.
    """
    height, width, channels, filters = kernel.shape
    matrix = K.reshape(K.transpose(kernel, (2, 0, 1, 3)), (channels, height * width * filters))
    products = K.reshape(K.matmul(x, matrix), (-1, *x.shape[1:3], height * width * filters))
    output_size = [-(-size // strides) for size in x.shape[1:3]]
    products = _pad(products, kernel)
    total = 0.0
    for row in range(height):
        for column in range(width):
            first = (row * width + column) * filters
            shifted = _shift(products, row, column, strides, output_size)
            total = total + shifted[..., first : first + filters]
    return total


def grouped_tap_convolution(x, kernel, groups, strides, contract):
    """Compute a grouped convolution from one shifted copy of the feature map for each kernel position."""
    output_size = [-(-size // strides) for size in x.shape[1:3]]
    x = _pad(x, kernel)
    taps = [
        (_shift(x, row, column, strides, output_size), matrix)
        for row, matrices in enumerate(_tap_matrices(kernel))
        for column, matrix in enumerate(matrices)
    ]
    return contract(taps, groups)


def doubling_tap_convolution(x, kernel, groups, output_size, contract):
    """Apply a transposed 3x3 convolution of stride 2 without inserting zeros between the pixels.

    Output rows (and columns) of even number meet only the kernel's middle row, those of odd
    number its two other rows: four maps of the input's size, which are interleaved.

    Args:
        x, kernel, groups, contract: as everywhere in this module.
        output_size: (height, width) of the output; each is twice the input's or 1 less.
    """
    height, width = x.shape[1:3]
    batch, filters = K.shape(x)[0], kernel.shape[-1]
    x = K.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    matrices = _tap_matrices(kernel)
    even, odd = ((1, 0),), ((0, 0), (2, 1))  # (kernel row, shift of the input) of each tap
    maps = [
        [
            contract(
                [(x[:, i : i + height, j : j + width], matrices[a][c]) for a, i in row_taps for c, j in column_taps],
                groups,
            )
            for column_taps in (even, odd)
        ]
        for row_taps in (even, odd)
    ]
    y = K.stack([K.stack(row, axis=3) for row in maps], axis=2)  # (batch, height, 2, width, 2, filters)
    return K.reshape(y, (batch, 2 * height, 2 * width, filters))[:, : output_size[0], : output_size[1]]


def multiply_add(taps, groups):
    """Compute a grouped convolution by elementwise multiplication and summation over all kernel positions.

    It is for small capsules. XLA fuses it into one pass.

    Args:
        taps: (input map, matrix of shape (group_in, groups * group_out)) of each tap.
        groups: number of groups.

    Returns:
        The sum over taps, (batch, height, width, groups * group_out).
    """
    total = 0.0
    for x, matrix in taps:
        group_in, filters = matrix.shape
        lead = (-1, *x.shape[1:3])
        x = K.reshape(x, (*lead, groups, group_in, 1))
        matrix = K.reshape(matrix, (group_in, groups, filters // groups))
        if group_in > _UNROLLED_COMPONENTS:
            total = total + K.sum(x * K.transpose(matrix, (1, 0, 2)), axis=-2)
            continue
        for component, weights in zip(K.unstack(x, axis=-2), K.unstack(matrix), strict=True):
            total = total + component * weights
    return K.reshape(total, (*lead, filters))


def matmul_per_group(taps, groups):
    """Compute a grouped convolution by matrix products, one for each group and kernel position.

    It is for large capsules.

    Args:
        taps, groups: as in `multiply_add`.
    """
    total = 0.0
    for x, matrix in taps:
        group_in, filters = matrix.shape
        rows = K.transpose(K.reshape(x, (-1, groups, group_in)), (1, 0, 2))
        matrix = K.reshape(matrix, (group_in, groups, filters // groups))
        total = total + K.matmul(rows, K.transpose(matrix, (1, 0, 2)))
    lead = (K.shape(x)[0], *x.shape[1:3]) if None not in x.shape[1:3] else K.shape(x)[:3]
    return K.reshape(K.transpose(total, (1, 0, 2)), (*lead, filters))


def transposed_kernel(kernel, groups):
    """Convert a convolution kernel to the kernel that maps the output gradient to the input gradient.

    The kernel is flipped, with inputs and outputs exchanged.
    """
    height, width, group_in, filters = kernel.shape
    flipped = K.flip(K.flip(kernel, 0), 1)  # with two axes in one call, Keras 3.12 fails
    blocks = K.reshape(flipped, (height, width, group_in, groups, filters // groups))
    return K.reshape(K.transpose(blocks, (0, 1, 4, 3, 2)), (height, width, filters // groups, groups * group_in))


def insert_zeros(x, axis, size):
    """Interleave a tensor with zeros along one axis, and crop the axis to a given size."""
    pairs = K.stack([x, K.zeros_like(x)], axis=axis + 1)
    shape = list(K.shape(x))
    shape[axis] = 2 * x.shape[axis]
    x = K.reshape(pairs, shape)
    return x[:, :size] if axis == 1 else x[:, :, :size]


def _tap_matrices(kernel):
    """Split a convolution kernel into one weight matrix per kernel position.

    The matrices, of shape (channels, filters), are in a nested list indexed by row and column.
    Few operations, because tracing each takes a third of a millisecond: a slice of its own for each position is four.
    """
    height, width, group_in, filters = kernel.shape
    matrices = K.unstack(K.reshape(kernel, (height * width, group_in, filters)))
    return [matrices[row * width : (row + 1) * width] for row in range(height)]


def _shift(padded, row, column, strides, output_size):
    """Return the pixels of a padded feature map that are multiplied by the weights at one kernel position."""
    rows, columns = output_size
    return padded[:, row : row + rows * strides : strides, column : column + columns * strides : strides]


def _pad(x, kernel):
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    return K.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0))) if rows or columns else x
