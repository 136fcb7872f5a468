"""Ways to compute a convolution grouped by capsule, and its transpose; `grouped_conv2d` chooses among them.

All take x (batch, height, width, groups * group_in), unpadded, and the canonical kernel (kernel_height, kernel_width,
group_in, groups * group_out). Those that work tap by tap (a tap is one kernel position) differ only in how they
`contract` the taps of an output map.
"""

import numpy as np
from keras import ops

_UNROLLED = 4  # components that `multiply_add` writes out; beyond, a sum over them is as fast and compiles sooner


def native(x, kernel, strides):
    """The backend's own convolution, grouped or dense; it reads the number of groups off the kernel."""
    if strides == 1:  # "same" is symmetric then, and no padded copy is made
        return ops.conv(x, kernel, 1, padding="same", data_format="channels_last")
    return ops.conv(_pad(x, kernel), kernel, strides, padding="valid", data_format="channels_last")


def block_diagonal(x, kernel, groups, strides):
    """Dense convolution whose kernel is zero between groups: `groups` times the work, in the fastest kernel."""
    return native(x, block_diagonal_kernel(kernel, groups), strides)


def block_diagonal_kernel(kernel, groups):
    """A grouped kernel as a dense one, (kernel_height, kernel_width, groups * group_in, groups * group_out)."""
    height, width, group_in, filters = kernel.shape
    blocks = ops.reshape(kernel, (height, width, 1, group_in, groups, filters // groups))
    own = ops.convert_to_tensor(np.eye(groups).reshape(1, 1, groups, 1, groups, 1), kernel.dtype)  # a constant
    return ops.reshape(blocks * own, (height, width, groups * group_in, filters))


def depthwise(x, kernel, groups, strides):
    """Each input channel makes its share of every output of its group; the shares are then added up."""
    height, width, group_in, filters = kernel.shape
    group_out = filters // groups
    shares = ops.transpose(ops.reshape(kernel, (height, width, group_in, groups, group_out)), (0, 1, 3, 2, 4))
    shares = ops.reshape(shares, (height, width, groups * group_in, group_out))
    y = ops.depthwise_conv(_pad(x, kernel), shares, strides, padding="valid", data_format="channels_last")
    if group_in == 1:
        return y
    lead = ops.shape(y)[:3]
    return ops.reshape(ops.sum(ops.reshape(y, (*lead, groups, group_in, group_out)), axis=-2), (*lead, filters))


def convolution(x, kernel, groups, strides, contract):
    """The sum over taps of the shifted map times the tap's matrix."""
    rows, columns = (-(-size // strides) for size in x.shape[1:3])
    x = _pad(x, kernel)
    taps = [
        (x[:, a : a + rows * strides : strides, c : c + columns * strides : strides], kernel[a, c])
        for a in range(kernel.shape[0])
        for c in range(kernel.shape[1])
    ]
    return contract([(part[:, :rows, :columns], matrix) for part, matrix in taps], groups)


def doubling_convolution(x, kernel, groups, size, contract):
    """3x3 convolution of a map with zeros put between its pixels, without the zeros: a transpose of stride 2.

    Output rows (and columns) of even number see the kernel's middle row, those of odd number its two others: four
    smaller maps, interleaved.

    Args:
        size: (height, width) of the output; each is twice the input's or 1 less.
    """
    height, width = x.shape[1:3]
    batch, filters = ops.shape(x)[0], kernel.shape[-1]
    x = ops.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    even, odd = ((1, 0),), ((0, 0), (2, 1))  # (kernel row, shift of the input) of each tap
    maps = [
        [
            contract(
                [(x[:, i : i + height, j : j + width], kernel[a, c]) for a, i in row_taps for c, j in column_taps],
                groups,
            )
            for column_taps in (even, odd)
        ]
        for row_taps in (even, odd)
    ]
    y = ops.stack([ops.stack(row, axis=3) for row in maps], axis=2)  # (batch, height, 2, width, 2, filters)
    return ops.reshape(y, (batch, 2 * height, 2 * width, filters))[:, : size[0], : size[1]]


def narrow_convolution(x, kernel, strides):
    """Dense convolution to very few filters: the products of all taps at every pixel first, then shifted and added."""
    height, width, channels, filters = kernel.shape
    matrix = ops.reshape(ops.transpose(kernel, (2, 0, 1, 3)), (channels, height * width * filters))
    products = ops.reshape(ops.matmul(x, matrix), (-1, *x.shape[1:3], height * width * filters))
    rows, columns = (-(-size // strides) for size in x.shape[1:3])
    products = _pad(products, kernel)
    total = 0.0
    for a in range(height):
        for c in range(width):
            tap = (a * width + c) * filters
            total = (
                total
                + products[
                    :, a : a + rows * strides : strides, c : c + columns * strides : strides, tap : tap + filters
                ][:, :rows, :columns]
            )
    return total


def multiply_add(taps, groups):
    """Contraction for small capsules: plain products and sums, which a compiler fuses into one pass."""
    total = 0.0
    for x, matrix in taps:
        group_in, filters = matrix.shape
        lead = (ops.shape(x)[0], *x.shape[1:3])
        x = ops.reshape(x, (*lead, groups, group_in, 1))
        matrix = ops.reshape(matrix, (group_in, groups, filters // groups))
        if group_in > _UNROLLED:
            total = total + ops.sum(x * ops.transpose(matrix, (1, 0, 2)), axis=-2)
            continue
        for i in range(group_in):
            total = total + x[:, :, :, :, i] * matrix[i]
    return ops.reshape(total, (*lead, filters))


def matmuls(taps, groups):
    """Contraction for large capsules: one matrix product a group and tap."""
    total = 0.0
    for x, matrix in taps:
        group_in, filters = matrix.shape
        rows = ops.transpose(ops.reshape(x, (-1, groups, group_in)), (1, 0, 2))
        matrix = ops.reshape(matrix, (group_in, groups, filters // groups))
        total = total + ops.matmul(rows, ops.transpose(matrix, (1, 0, 2)))
    lead = (ops.shape(x)[0], *x.shape[1:3]) if None not in x.shape[1:3] else ops.shape(x)[:3]
    return ops.reshape(ops.transpose(total, (1, 0, 2)), (*lead, filters))


def transposed_kernel(kernel, groups):
    """The kernel that takes an output's gradient back to the input: turned round, input and output exchanged."""
    height, width, group_in, filters = kernel.shape
    blocks = ops.reshape(ops.flip(kernel, axis=(0, 1)), (height, width, group_in, groups, filters // groups))
    return ops.reshape(ops.transpose(blocks, (0, 1, 4, 3, 2)), (height, width, filters // groups, groups * group_in))


def _pad(x, kernel):
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    return ops.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0))) if rows or columns else x
