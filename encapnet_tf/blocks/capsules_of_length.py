"""Capsules as long as their activations."""

import keras

from encapnet_tf import ops


@keras.saving.register_keras_serializable("encapnet_tf")
class CapsulesOfLength(keras.layers.Layer):
    """Gives each capsule the length of its activation and keeps its direction, so that length means presence again.

    Part of the EM `models.CapNet`: EM routing keeps the two apart.

    Args:
        dtype: as in every Keras layer.

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
