"""BatchNorm-ReLU-squash in Keras: the library's layer, and the operations one by one."""

import keras
from keras import ops

from benchmarks.contestant import Prepared
from benchmarks.contestants.compiled import compiled
from benchmarks.contestants.random_arrays import normal
from encapnet_tf.blocks.capsule_activation import CapsuleActivation


class SeparateOperations(keras.layers.Layer):
    """What a user would write: Keras's batch normalisation, its ReLU, and the squash as it is written on paper.

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
        x = ops.relu(self.norm(inputs, training=training))
        x = ops.reshape(x, (*x.shape[:-1], -1, self.capsule_dim))
        squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
        return ops.reshape(x * (ops.sqrt(squared + 1e-12) / (1.0 + squared)), inputs.shape)


LAYERS = {"library": CapsuleActivation, "separate": SeparateOperations}


def keras_activation(layer, size, capsules, capsule_dim, batch, gradient, jit=False):
    """BatchNorm-ReLU-squash in training.

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
        return Prepared(compiled(lambda x: layer(x, training=True), [x], gradient, jit, weights))

    def function(x, *weights):
        return layer.stateless_call(list(weights), list(layer.non_trainable_variables), x, training=True)[0]

    return Prepared(compiled(function, [x, *weights], gradient, jit))
