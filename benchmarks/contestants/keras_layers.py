"""Keras implementations of convolutions and of the capsule activation (BatchNorm, ReLU, squash) for benchmarks."""

import keras
from keras import ops as K

from benchmarks.contestants import convolution_lowerings as lowerings
from benchmarks.contestants import winograd
from benchmarks.contestants.arrays import convolution_arrays, normal
from benchmarks.contestants.keras_calls import compile_function
from benchmarks.harness.contestant import Prepared
from encapnet_tf.blocks.capsule_activation import CapsuleActivation


def convolution(*, lowering, shape, groups, batch, gradient, jit=False, dtype="float32", calls=1):
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
        calls: as in `compile_function`.
    """
    x, kernel = (K.cast(array, dtype) for array in convolution_arrays(shape, groups, batch))
    how = {"jit": jit, "calls": calls}
    if shape["transposed"]:
        function = _transposed(lowering, shape, groups, training=gradient)
        return Prepared(compile_function(function, [x, kernel, normal(kernel.shape[-1])], gradient, **how))
    inference = lowering == "ours" and not gradient
    module = winograd if lowering.startswith("winograd") else lowerings
    function = lowerings.ours_inference if inference else getattr(module, lowering)
    return Prepared(
        compile_function(lambda x, k: function(x, k, groups, shape["strides"]), [x, kernel], gradient, **how),
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


class SeparateOperations(keras.layers.Layer):
    """A layer that computes batch normalisation, ReLU and squash as separate Keras operations.

    The squash is written with `keras.ops`.

    Args:
        capsule_dim: components of a capsule.
    """

    def __init__(self, capsule_dim, **kwargs):
        super().__init__(**kwargs)
        self.capsule_dim = capsule_dim
        self.norm = keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9)

    def build(self, input_shape):
        self.norm.build(input_shape)

    def call(self, inputs, training=None):
        x = K.relu(self.norm(inputs, training=training))
        x = K.reshape(x, (*x.shape[:-1], -1, self.capsule_dim))
        squared = K.sum(K.square(x), axis=-1, keepdims=True)
        return K.reshape(x * (K.sqrt(squared + 1e-12) / (1.0 + squared)), inputs.shape)


LAYERS = {"library": CapsuleActivation, "separate": SeparateOperations}


def activation(*, layer, size, capsules, capsule_dim, batch, gradient, jit=False):
    """Return a function, to be timed, that applies BatchNorm, ReLU and squash in Keras, in training mode.

    Args:
        layer: "library" or "separate".
        size: pixels a side.
        capsules, capsule_dim, batch: sizes.
        gradient: whether the gradient with respect to input, gamma and beta is computed too.
        jit: whether XLA compiles all of it.
    """
    layer = LAYERS[layer](capsule_dim)
    x = normal(batch, size, size, capsules * capsule_dim)
    layer.build(x.shape)
    weights = layer.trainable_variables
    if keras.backend.backend() == "tensorflow":  # the variables themselves, moving statistics updated
        return Prepared(compile_function(lambda x: layer(x, training=True), [x], gradient, jit=jit, variables=weights))

    def function(x, *weights):
        return layer.stateless_call(list(weights), list(layer.non_trainable_variables), x, training=True)[0]

    return Prepared(compile_function(function, [x, *weights], gradient, jit=jit))
