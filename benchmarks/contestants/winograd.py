"""Implementations of Winograd's algorithm to benchmark: the library's, in parts, and along the rows only.

The functions have the signature of those in `convolution_lowerings`, with one group.
"""

from functools import partial

from keras import ops as K

from encapnet_tf.ops.convolution.winograd import winograd_convolution, winograd_matrices

_TILE, _KERNEL = 4, 5


def winograd(x, kernel, groups, strides):
    """Compute a convolution by the library's implementation of Winograd's algorithm, also where it is not chosen."""
    return winograd_convolution(x, kernel, strides)


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
    output, of_kernel, inputs = winograd_matrices(_KERNEL)
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
