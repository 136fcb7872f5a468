"""Dense 5x5 convolutions, and 7x7 convolutions of stride 2, with fewer multiplications by Winograd's algorithm.

F(4, 5) computes 4 neighbouring outputs of a kernel of 5 from 8 inputs d with 8 multiplications instead of 20:

    y = A^T [(G g) * (B^T d)]

In two dimensions, F(4x4, 5x5) needs 64 multiplications instead of 400 for 16 outputs. See Lavin and Gray, Fast
Algorithms for Convolutional Neural Networks (2016). A convolution of stride 2 is one of stride 1 of the four maps of
every second pixel, so F(4x4, 4x4) serves a 7x7 kernel: 49 multiplications of four times as many channels instead of 784
for 16 outputs.

The relative error in float32 is about 5e-6.
"""

import math

import numpy as np
from keras import ops as K

_OUTPUTS = 4  # of a tile, in each direction
# At these points, and at infinity, the algorithm interpolates: as many as a tile's inputs. Found by trying: others have
# larger rounding errors.
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


def winograd_convolution(x, kernel, strides):
    """Apply a dense 5x5 convolution, or a 7x7 convolution of stride 2, by Winograd's algorithm.

    Tiles of 8x8 or 7x7 pixels are transformed, multiplied by the transformed kernel and transformed back.

    Args:
        x: (batch, height, width, channels), height and width known.
        kernel: (5, 5, channels, filters) with strides 1, or (7, 7, channels, filters) with strides 2.
        strides: step in both directions.

    Returns:
        (batch, ceil(height / strides), ceil(width / strides), filters); `size // 2` zeros pad each side.
    """
    if strides == 2:
        x, kernel = _space_to_depth(x), _kernel_for_space_to_depth(kernel)
    size, channels, filters = kernel.shape[1:]
    height, width = x.shape[1:3]
    to_outputs, to_kernels, to_inputs = (
        K.convert_to_tensor(np.kron(matrix, matrix), x.dtype) for matrix in winograd_matrices(size)
    )
    tiles, rows, columns = _tiles(x, size)
    area = tiles.shape[0]
    inputs = K.reshape(K.matmul(to_inputs, K.reshape(tiles, (area, -1))), (area, -1, channels))
    kernels = K.matmul(to_kernels, K.reshape(kernel, (size**2, channels * filters)))
    products = K.matmul(inputs, K.reshape(kernels, (area, channels, filters)))
    y = K.matmul(to_outputs, K.reshape(products, (area, -1)))
    y = K.transpose(K.reshape(y, (_OUTPUTS, _OUTPUTS, -1, rows, columns, filters)), (2, 3, 0, 4, 1, 5))
    return K.reshape(y, (-1, rows * _OUTPUTS, columns * _OUTPUTS, filters))[:, :height, :width]


def winograd_matrices(size):
    """Return the transform matrices A^T, G and B^T of Winograd's algorithm F(4, size), for a kernel of `size` 4 or 5.

    Their shapes are (4, tile), (tile, size) and (tile, tile), in float64, where tile is size + 3. In two dimensions,
    the Kronecker product of each matrix with itself transforms a flattened tile.

    A product of polynomials follows from its values at the points (Toom and Cook). A convolution is its transpose.
    """
    points = _POINTS[: size + _OUTPUTS - 2]
    scales = np.array([np.prod([p - q for q in points if q != p]) for p in points])
    powers = np.array([[p**i for i in range(max(size, _OUTPUTS))] for p in points])
    outputs = np.concatenate([powers[:, :_OUTPUTS], np.eye(_OUTPUTS)[-1:]]).T
    kernels = np.concatenate([powers[:, :size] / scales[:, None], np.eye(size)[-1:]])
    polynomials = [np.poly([q for q in points if q != p])[::-1] for p in points]
    inputs = np.concatenate([np.pad(polynomials, ((0, 0), (0, 1))), [np.poly(points)[::-1]]])
    return outputs, kernels, inputs


def count_tiled_positions(size):
    """Count the output positions that Winograd's algorithm computes for an output map of size (height, width).

    These are all positions of the 4x4 tiles that cover the map.
    """
    return math.prod(-(-length // _OUTPUTS) * _OUTPUTS for length in size)


def _tiles(x, size):
    """Cut a padded feature map into overlapping tiles, one tile for each block of 4x4 outputs.

    Returns:
        The tiles, (tile**2, batch, rows, columns, channels), and the numbers of rows and columns of tiles.
    """
    rows, columns = (-(-length // _OUTPUTS) for length in x.shape[1:3])
    margins = [
        (size // 2, (count + 1) * _OUTPUTS - size // 2 - length)
        for count, length in zip((rows, columns), x.shape[1:3], strict=True)
    ]
    blocks = K.pad(x, ((0, 0), *margins, (0, 0)))
    blocks = K.reshape(blocks, (-1, rows + 1, _OUTPUTS, columns + 1, _OUTPUTS, x.shape[-1]))
    blocks = K.transpose(blocks, (2, 4, 0, 1, 3, 5))
    more = size - 1  # a tile reaches so far into the next block
    tall = K.concatenate([blocks[:, :, :, :rows], blocks[:more, :, :, 1:]], axis=0)
    tiles = K.concatenate([tall[:, :, :, :, :columns], tall[:, :more, :, :, 1:]], axis=1)
    return K.reshape(tiles, ((size + _OUTPUTS - 1) ** 2, -1, rows, columns, x.shape[-1])), rows, columns


def _space_to_depth(x):
    """Move the pixels of each 2x2 block of a feature map to the channel axis.

    The result has half the height and width, and four times the channels.
    """
    height, width, channels = x.shape[1:]
    x = K.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    rows, columns = -(-height // 2), -(-width // 2)
    x = K.transpose(K.reshape(x, (-1, rows, 2, columns, 2, channels)), (0, 1, 3, 2, 4, 5))
    return K.reshape(x, (-1, rows, columns, 4 * channels))


def _kernel_for_space_to_depth(kernel):
    """Convert a 7x7 kernel of stride 2 to the equivalent 4x4 kernel of stride 1 for the output of `_space_to_depth`."""
    _, _, channels, filters = kernel.shape
    kernel = K.reshape(K.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0))), (4, 2, 4, 2, channels, filters))
    return K.reshape(K.transpose(kernel, (0, 2, 1, 3, 4, 5)), (4, 4, 4 * channels, filters))
