"""Activation layer that applies batch normalisation, ReLU and squash to a capsule feature map."""

import math

import keras

from encapnet_tf import ops
from encapnet_tf.arguments import whole_number
from encapnet_tf.blocks.batch_norm import BatchNorm

# On maps of at least this many positions one fused function normalises, rectifies and squashes, and the backward pass
# recomputes the normalised map instead of keeping it, in the same time. On smaller maps recomputing is slower and saves
# little memory.
_RECOMPUTE_FROM_POSITIONS = 256


@keras.saving.register_keras_serializable("encapnet_tf")
class CapsuleActivation(keras.layers.Layer):
    """Layer that applies batch normalisation, ReLU and squash to a capsule feature map.

    It ends every branch of `CapConv2D` and the generators of feedback agreement units.

    Args:
        capsule_dim: components of a capsule.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only); settable.
        recompute_output: whether a training step on a CPU with TensorFlow computes the output again in the backward
            pass, for the layers that use it, rather than keep it in memory. It changes memory and speed, never values.

    Call arguments:
        inputs: (batch, height, width, num_capsules * capsule_dim).

    Returns:
        Tensor of the shape of `inputs`.
    """

    def __init__(self, capsule_dim, synchronized=False, recompute_output=False, **kwargs):
        super().__init__(**kwargs)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
        self.recompute_output = bool(recompute_output)
        self.norm = BatchNorm(synchronized=synchronized, dtype=self.dtype_policy, name="norm")

    @property
    def synchronized(self):
        return self.norm.synchronized

    @synchronized.setter
    def synchronized(self, value):
        self.norm.synchronized = bool(value)

    def build(self, input_shape):
        self.norm.build(input_shape)

    def call(self, inputs, training=None):
        norm = self.norm
        helpers = norm.fused_kernels(inputs, training)
        if not helpers or math.prod(inputs.shape[1:3]) < _RECOMPUTE_FROM_POSITIONS:
            return ops.relu_squash(norm(inputs, training=training), self.capsule_dim, bool(training))
        outputs, mean, variance = helpers.batch_norm_relu_squash(
            inputs, norm.gamma.value, norm.beta.value, norm.epsilon, self.capsule_dim, self.recompute_output
        )
        norm.update_moving_statistics(mean, variance)
        return outputs

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "capsule_dim": self.capsule_dim,
            "synchronized": self.synchronized,
            "recompute_output": self.recompute_output,
        }
