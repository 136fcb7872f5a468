"""BatchNorm -> ReLU -> squash: what follows every mapping of an EncapNet."""

import keras

from encapnet_tf.layers.squash import Squash


@keras.saving.register_keras_serializable("encapnet_tf")
class CapsuleActivation(keras.layers.Layer):
    """Batch normalisation (epsilon 1e-5, momentum 0.9, as the release), ReLU and squash of a capsule feature map.

    Part of `CapConv2D`; one place, so that the whole chain can be made fast at once.

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
        self.norm = keras.layers.BatchNormalization(
            epsilon=1e-5, momentum=0.9, synchronized=synchronized, dtype=self.dtype_policy, name="norm"
        )
        self.squash = Squash(capsule_dim, dtype=self.dtype_policy, name="squash")

    @property
    def synchronized(self):
        return self.norm.synchronized

    @synchronized.setter
    def synchronized(self, value):
        self.norm.synchronized = bool(value)

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.squash.build(input_shape)

    def call(self, inputs, training=None):
        return self.squash(keras.ops.relu(self.norm(inputs, training=training)))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "capsule_dim": self.squash.capsule_dim,
            "synchronized": self.synchronized,
        }
