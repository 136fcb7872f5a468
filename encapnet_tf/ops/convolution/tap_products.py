"""Ungrouped convolution of a small feature map, computed by one matrix product for each kernel position.

A tap is one kernel position. On a map of 4x4, half of the products of a 5x5 kernel are with the zeros around the
map; here only those with pixels are computed.
"""

from typing import NamedTuple

from keras import ops as K


def tap_convolution(x, kernel, strides):
    """Compute a dense convolution as a sum of matrix products, one for each kernel position.

    Each tap's input patch is multiplied by the tap's matrix, and the product is added at the tap's output patch.

    Args:
        x: (batch, height, width, channels), height and width known.
        kernel: (size, size, channels, filters), size odd.
        strides: step in both directions.

    Returns:
        (batch, ceil(height / strides), ceil(width / strides), filters); `size // 2` zeros pad each side.
    """
    size, map_size = kernel.shape[0], tuple(x.shape[1:3])
    matrices = K.unstack(tap_matrices(kernel))
    products = [
        multiply_pixels(patch, matrices[tap])
        for tap, patch in zip(taps(map_size, size, strides), input_patches(x, size, strides), strict=True)
    ]
    return scatter_sum(products, map_size, size, strides)


def taps(map_size, size, strides):
    """Return the kernel positions that overlap at least one input pixel, not only zero padding.

    A position is given as row * size + column. The weights at other positions are multiplied only by the zeros of the
    padding.
    """
    return [region.tap for region in _regions(map_size, size, strides)]


def input_patches(x, size, strides):
    """Return the input pixels under each kernel position of a convolution.

    They are the pixels that the weights at this position multiply. Kernel positions (taps) that do not overlap the map
    are left out.
    """
    return [x[:, region.input_rows, region.input_columns] for region in _regions(x.shape[1:3], size, strides)]


def output_patches(y, map_size, size, strides):
    """Return, for each tap (weight position) of a kernel, the output pixels that have an input pixel under this tap.

    Output pixels for which the kernel position multiplies padding are left out. Kernel positions (taps) that do not
    overlap the map are left out.
    """
    return [y[:, region.output_rows, region.output_columns] for region in _regions(map_size, size, strides)]


def patch_sizes(map_size, size, strides):
    """Return the height and width of the part of the output that has an input pixel under a tap of the kernel.

    The kernel positions are in the order of `taps`.
    """
    return [
        (rows.stop - rows.start, columns.stop - columns.start)
        for _, _, _, rows, columns in _regions(map_size, size, strides)
    ]


def joined_input_patches(x, size, strides):
    """Stack the input pixels under each kernel position of a convolution into one matrix.

    The rows are the patches of `input_patches`. XLA compiles each result of a function apart, so that one matrix
    compiles much sooner than 25 patches.
    """
    return K.concatenate([flatten_pixels(patch) for patch in input_patches(x, size, strides)])


def joined_output_patches(y, map_size, size, strides):
    """Stack the output pixels that have an input pixel under a tap of the kernel, for all taps, into one matrix.

    The rows are the patches of `output_patches`.
    """
    return K.concatenate([flatten_pixels(patch) for patch in output_patches(y, map_size, size, strides)])


def scatter_sum(patches, map_size, size, strides):
    """Compute the output of a convolution by adding the contributions of all kernel positions.

    Each tap's patch is added at the tap's output positions.

    Args:
        patches: for each tap that meets the map, a tensor of the shape that `output_patches` returns.
        map_size: (height, width) of the input.
        size: side of the kernel.
        strides: step in both directions.
    """
    height, width = (-(-n // strides) for n in map_size)
    total = 0.0
    for patch, region in zip(patches, _regions(map_size, size, strides), strict=True):
        rows, columns = region.output_rows, region.output_columns
        margins = ((rows.start, height - rows.stop), (columns.start, width - columns.stop))
        total = total + K.pad(patch, ((0, 0), *margins, (0, 0)))
    return total


def tap_matrices(kernel):
    """Split a convolution kernel into one weight matrix per kernel position.

    The result has the shape (kernel positions, channels, filters).
    """
    return K.reshape(kernel, (-1, *kernel.shape[2:]))


def multiply_pixels(x, matrix):
    """Multiply the channel vector of each pixel of a feature map by a matrix."""
    return K.reshape(K.matmul(flatten_pixels(x), matrix), (-1, *x.shape[1:3], matrix.shape[1]))


def flatten_pixels(x):
    """Reshape a feature map to a matrix with one row per pixel and one column per channel."""
    return K.reshape(x, (-1, x.shape[-1]))


class _Region(NamedTuple):
    """Input and output pixels of a feature map that one kernel position of a convolution connects.

    The slices select the rows and columns that it reads, and those that it adds to.
    """

    tap: int
    input_rows: slice
    input_columns: slice
    output_rows: slice
    output_columns: slice


def _regions(map_size, size, strides):
    """List which input pixels contribute to which output pixels, for each tap of the kernel of a 2-D convolution."""
    rows, columns = (_overlaps(n, size, strides) for n in map_size)
    return [
        _Region(row * size + column, input_rows, input_columns, output_rows, output_columns)
        for row, input_rows, output_rows in rows
        for column, input_columns, output_columns in columns
    ]


def _overlaps(length, size, strides):
    """List which input pixels contribute to which output pixels, for each tap of the kernel of a 1-D convolution.

    The kernel position (tap) multiplies the input slice and adds to the output slice. The slices lie along one image
    axis. Each entry of the list is (tap, slice of the input, slice of the output).
    Output position i meets pixel i * strides + shift, where shift = tap - size // 2.
    """
    overlaps = []
    for tap in range(size):
        shift = tap - size // 2
        first, last = max(0, -(shift // strides)), min(-(-length // strides) - 1, (length - 1 - shift) // strides)
        if first <= last:
            pixels = slice(first * strides + shift, last * strides + shift + 1, strides)
            overlaps.append((tap, pixels, slice(first, last + 1)))
    return overlaps
