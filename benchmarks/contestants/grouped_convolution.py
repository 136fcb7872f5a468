"""Grouped convolutions in Keras, one factory for every lowering."""

from benchmarks.contestant import Prepared
from benchmarks.contestants import convolution_lowerings as lowerings
from benchmarks.contestants import transposed_lowerings
from benchmarks.contestants.compiled import compiled
from benchmarks.contestants.random_arrays import convolution_arrays, normal


def keras_convolution(lowering, shape, groups, batch, gradient, jit=False):
    """A lowering compiled for a shape.

    Args:
        lowering: a function of `convolution_lowerings` or `transposed_lowerings`. "ours" without gradient is the
            library's in inference.
        shape: of a `grouped_conv_shapes.Shape`, as a dictionary.
        groups, batch: sizes.
        gradient: whether the gradient with respect to input and kernel is computed too.
        jit: whether XLA compiles all of it.
    """
    x, kernel = convolution_arrays(shape, groups, batch)
    if not shape["transposed"]:
        inference = lowering == "ours" and not gradient
        function = lowerings.ours_inference if inference else getattr(lowerings, lowering)
        return Prepared(
            compiled(lambda x, k: function(x, k, groups, shape["strides"]), [x, kernel], gradient, jit),
        )
    size = 2 * shape["size"]
    if lowering == "ours":
        function = transposed_lowerings.ours(size, groups, shape["dim_in"], shape["dim_out"], training=gradient)
    elif lowering == "dense_transposed":
        function = transposed_lowerings.dense_transposed(size, groups)
    else:
        function = transposed_lowerings.zeros_between(getattr(lowerings, lowering), size, groups)
    return Prepared(compiled(function, [x, kernel, normal(kernel.shape[-1])], gradient, jit))
