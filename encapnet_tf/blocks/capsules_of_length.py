"""Layer that makes the length of each capsule vector equal to the capsule's activation."""

import keras

from encapnet_tf import ops


@keras.saving.register_keras_serializable("encapnet_tf")
class CapsulesOfLength(keras.layers.Layer):
    """Layer that rescales each capsule vector so that its length equals the capsule's activation.

    It ends the EM-routed `models.CapNet`: EM routing computes capsules and activations apart, while losses and exports
    read the probability of a class from a capsule's length.

    Args:
        dtype: dtype or dtype policy, as in every Keras layer.

    Call arguments:
        inputs: (batch, num_capsules, capsule_dim).
        activations: (batch, num_capsules).

    Returns:
        (batch, num_capsules, capsule_dim).
    """

    def call(self, inputs, activations):
        return inputs * (activations / ops.capsule_length(inputs))[..., None]

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return super().get_config()  # Defined here: Keras's automatic one refuses dtype policies.
