"""Dense 5x5 convolutions with fewer multiplications, by Winograd's algorithm.

F(4, 5) computes 4 neighbouring outputs of a kernel of 5 from 8 inputs d with 8 multiplications instead of 20:

    y = A^T [(G g) * (B^T d)]

The matrices interpolate at the points 0, +-1, +-2, +-1/2 and infinity. In two dimensions, F(4x4, 5x5) needs 64
multiplications instead of 400 for 16 outputs. The functions have the signature of those in `convolution_lowerings`;
groups and strides are 1 and the sides of the map multiples of 4. Gradients are those of the backend: they are products
of the transformed tiles, too.
"""

from functools import partial

import numpy as np
from keras import ops as K

_TILE, _KERNEL = 4, 5
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


def winograd_matrices():
    """Return the transform matrices of Winograd's algorithm for a kernel of 5: A^T (4, 8), G (8, 5), B^T (8, 8).

    They are those of F(4, 5), in float64.

    Toom and Cook: a product of polynomials follows from its values at the points. A convolution is the transpose of it.
    """
    size = len(_POINTS) + 1
    scales = [np.prod([p - q for q in _POINTS if q != p]) for p in _POINTS]
    powers = np.array([[p**i for i in range(_KERNEL)] for p in _POINTS])
    last = np.eye(_KERNEL)[-1:]
    output = np.concatenate([powers[:, :_TILE], np.eye(_TILE)[-1:]]).T
    kernel = np.concatenate([powers / np.array(scales)[:, None], last])
    polynomials = [np.poly([q for q in _POINTS if q != p])[::-1] for p in _POINTS]
    inputs = np.zeros((size, size))
    inputs[:-1, :-1] = polynomials
    inputs[-1] = np.poly(_POINTS)[::-1]
    return output, kernel, inputs


def winograd(x, kernel, groups, strides):
    """Compute a 5x5 convolution by Winograd's algorithm in two dimensions, F(4x4, 5x5).

    The map is cut into overlapping tiles of 8x8, and each transform is one matrix product.
    """
    output, of_kernel, inputs = (K.convert_to_tensor(np.kron(m, m), x.dtype) for m in winograd_matrices())
    batch, height, width, channels = x.shape
    rows, columns = height // _TILE, width // _TILE
    filters = kernel.shape[-1]
    blocks = K.pad(x, ((0, 0), (2, 6), (2, 6), (0, 0)))
    blocks = K.reshape(blocks, (batch, rows + 2, _TILE, columns + 2, _TILE, channels))
    blocks = K.transpose(blocks, (2, 4, 0, 1, 3, 5))
    tall = K.concatenate([blocks[:, :, :, :rows], blocks[:, :, :, 1 : rows + 1]], axis=0)
    tiles = K.concatenate([tall[:, :, :, :, :columns], tall[:, :, :, :, 1 : columns + 1]], axis=1)
    tiles = K.matmul(inputs, K.reshape(tiles, (64, -1)))
    kernels = K.matmul(of_kernel, K.reshape(kernel, (25, -1)))
    products = K.matmul(K.reshape(tiles, (64, -1, channels)), K.reshape(kernels, (64, channels, filters)))
    y = K.matmul(output, K.reshape(products, (64, -1)))
    y = K.transpose(K.reshape(y, (_TILE, _TILE, batch, rows, columns, filters)), (2, 3, 0, 4, 1, 5))
    return K.reshape(y, (batch, height, width, filters))


def winograd_in_parts(x, kernel, groups, strides):
    """Compute a 5x5 convolution by Winograd's algorithm for four images at a time, so that tiles stay in a cache."""
    parts = [winograd(part, kernel, groups, strides) for part in K.split(x, max(1, x.shape[0] // 4), axis=0)]
    return K.concatenate(parts, axis=0)


def winograd_along_rows(x, kernel, groups, strides):
    """Compute a 5x5 convolution by Winograd's algorithm along the rows only, as 8 convolutions with 5x1 kernels.

    F(4, 5) has 2.5 times fewer multiplications instead of 6.25, and tiles twice as large as the map instead of four
    times. The transforms are compiled by XLA, each in one pass; the convolutions are TensorFlow's.
    """
    import tensorflow as tf

    compiled = partial(tf.function, jit_compile=True, autograph=False)
    output, of_kernel, inputs = winograd_matrices()
    batch, height, width, channels = x.shape
    columns = width // _TILE

    @compiled
    def transform_input(x):
        blocks = K.reshape(
            K.pad(x, ((0, 0), (2, 2), (2, 6), (0, 0))), (batch, height + 4, columns + 2, _TILE, channels)
        )
        tile = [blocks[:, :, start : start + columns, i] for start in (0, 1) for i in range(_TILE)]
        return _linear_combinations(inputs, tile)

    @compiled
    def transform_kernel(kernel):
        return _linear_combinations(of_kernel, [kernel[:, i : i + 1] for i in range(_KERNEL)])

    @compiled
    def transform_output(products):
        y = K.stack(_linear_combinations(output, products), axis=3)
        return K.reshape(y, (batch, height, width, y.shape[-1]))

    pairs = zip(transform_input(x), transform_kernel(kernel), strict=True)
    return transform_output([tf.nn.conv2d(tile, k, 1, "VALID") for tile, k in pairs])


def _linear_combinations(matrix, tensors):
    """Multiply a matrix and a list of tensors, and skip coefficients of 0."""
    return [sum(float(c) * x for c, x in zip(row, tensors, strict=True) if c) for row in matrix]
