"""BatchNorm -> ReLU -> squash: what follows every mapping of an EncapNet."""

import math

import keras

from encapnet_tf import ops
from encapnet_tf.arguments import whole_number
from encapnet_tf.blocks.batch_norm import BatchNorm

# Positions from which on the normalised map is not kept for the gradient but made again, in the same time; on the
# smallest maps that takes longer and saves nothing worth it.
_LARGE_MAP = 256


@keras.saving.register_keras_serializable("encapnet_tf")
class CapsuleActivation(keras.layers.Layer):
    """Batch normalisation (epsilon 1e-5, momentum 0.9, as the release), ReLU and squash of a capsule feature map.

    Part of `CapConv2D` and of the feedback units' generators.

    Args:
        capsule_dim: components of a capsule.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only); settable.

    Call arguments:
        inputs: (batch, height, width, num_capsules * capsule_dim).

    Returns:
        Tensor of the shape of `inputs`.
    """

    def __init__(self, capsule_dim, synchronized=False, **kwargs):
        super().__init__(**kwargs)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
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
        helpers = norm.helpers(inputs, training)
        if not helpers or math.prod(inputs.shape[1:3]) < _LARGE_MAP:
            return ops.relu_squash(norm(inputs, training=training), self.capsule_dim, bool(training))
        weights = norm.gamma.value, norm.beta.value
        return norm.moved(helpers.batch_norm_relu_squash(inputs, *weights, norm.epsilon, self.capsule_dim))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "capsule_dim": self.capsule_dim,
            "synchronized": self.synchronized,
        }
