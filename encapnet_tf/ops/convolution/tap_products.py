"""Dense convolution on a small map: for each tap of the kernel a matrix product with the pixels it meets.

A 5x5 kernel on a map of 4x4 meets zeros around the map with half of its taps. Here only the others are multiplied. A
tap is one kernel position; a region is a pair of slices, of rows and columns.
"""

from keras import ops


def convolution(x, kernel, strides):
    """`grouped_conv2d` of one group: the tap's pixels times the tap's matrix, put where they belong and added up.

    Args:
        x: (batch, height, width, channels), height and width known.
        kernel: (size, size, channels, filters), size odd.
        strides: step in both directions.
    """
    size, map_size = kernel.shape[0], tuple(x.shape[1:3])
    matrices = ops.unstack(tap_matrices(kernel))
    used = [matrices[tap] for tap in taps(map_size, size, strides)]
    parts = [product(pixels, matrix) for pixels, matrix in zip(seen(x, size, strides), used, strict=True)]
    return placed(*parts, (map_size, size, strides))


def taps(map_size, size, strides):
    """The numbers of the taps, row by row, that meet the map anywhere."""
    return [tap for tap, _, _ in _regions(map_size, size, strides)]


def seen(x, size, strides):
    """For each of these taps the pixels it meets."""
    return [x[:, rows, columns] for _, (rows, columns), _ in _regions(x.shape[1:3], size, strides)]


def served(y, map_size, size, strides):
    """For each of these taps the output positions it meets them from."""
    return [y[:, rows, columns] for _, _, (rows, columns) in _regions(map_size, size, strides)]


def placed(*arguments):
    """The sum of all taps' shares, each at the output positions that `served` takes.

    Args:
        *arguments: the shares, then (map_size, size, strides).
    """
    *parts, (map_size, size, strides) = arguments
    height, width = (-(-n // strides) for n in map_size)
    total = 0.0
    for part, (_, _, (rows, columns)) in zip(parts, _regions(map_size, size, strides), strict=True):
        margins = ((rows.start, height - rows.stop), (columns.start, width - columns.stop))
        total = total + ops.pad(part, ((0, 0), *margins, (0, 0)))
    return total


def tap_matrices(kernel):
    """(taps, channels, filters)."""
    return ops.reshape(kernel, (-1, *kernel.shape[2:]))


def product(x, matrix, transposed=False):
    """Every pixel of (batch, rows, columns, channels) times a matrix, or its transpose, as one product."""
    matrix = ops.transpose(matrix) if transposed else matrix
    return ops.reshape(ops.matmul(pixels(x), matrix), (-1, *x.shape[1:3], matrix.shape[1]))


def pixels(x):
    """(batch * rows * columns, channels)."""
    return ops.reshape(x, (-1, x.shape[-1]))


def _regions(map_size, size, strides):
    """(tap, region of the input, region of the output) of each tap that meets the map."""
    rows, columns = (_overlaps(n, size, strides) for n in map_size)
    return [
        (a * size + c, (seen_rows, seen_columns), (from_rows, from_columns))
        for a, seen_rows, from_rows in rows
        for c, seen_columns, from_columns in columns
    ]


def _overlaps(length, size, strides):
    """Along one axis: (tap, pixels it meets, output positions it meets them from)."""
    found = []
    for tap in range(size):
        shift = tap - size // 2  # output i meets pixel i * strides + shift
        first, last = max(0, -(shift // strides)), min(-(-length // strides) - 1, (length - 1 - shift) // strides)
        if first <= last:
            pixels_met = slice(first * strides + shift, last * strides + shift + 1, strides)
            found.append((tap, pixels_met, slice(first, last + 1)))
    return found
