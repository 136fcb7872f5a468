"""Benchmarks of several implementations of grouped convolution in Keras."""

from keras import ops

from benchmarks.contestants import convolution_lowerings as lowerings
from benchmarks.contestants import winograd
from benchmarks.contestants.arrays import convolution_arrays, normal
from benchmarks.contestants.keras_calls import compiled
from benchmarks.harness.contestant import Prepared


def convolution(*, lowering, shape, groups, batch, gradient, jit=False, dtype="float32"):
    """Return a function, to be timed, that computes a grouped convolution in Keras with a chosen implementation.

    It is compiled for one shape.

    Args:
        lowering: a function of `convolution_lowerings` or `winograd`; "ours" without gradient is the library's in
            inference.
        shape: of a `grouped_conv_shapes.Shape`, as a dictionary.
        groups, batch: sizes.
        gradient: whether the gradient with respect to input and kernel is computed too.
        jit: whether XLA compiles all of it.
        dtype: of input and kernel.
    """
    x, kernel = (ops.cast(array, dtype) for array in convolution_arrays(shape, groups, batch))
    if shape["transposed"]:
        function = _transposed(lowering, shape, groups, training=gradient)
        return Prepared(compiled(function, [x, kernel, normal(kernel.shape[-1])], gradient, jit=jit))
    inference = lowering == "ours" and not gradient
    module = winograd if lowering.startswith("winograd") else lowerings
    function = lowerings.ours_inference if inference else getattr(module, lowering)
    return Prepared(
        compiled(lambda x, k: function(x, k, groups, shape["strides"]), [x, kernel], gradient, jit=jit),
    )


def _transposed(lowering, shape, groups, *, training):
    """Return a function that computes a grouped transposed convolution with a chosen implementation.

    It is a function of (x, kernel, bias) that doubles the image size.
    """
    size = 2 * shape["size"]
    if lowering == "ours":
        return lowerings.ours_transposed(size, groups, shape["dim_in"], shape["dim_out"], training=training)
    if lowering == "dense_transposed":
        return lowerings.dense_transposed(size, groups)
    return lowerings.zeros_between(getattr(lowerings, lowering), size, groups)
