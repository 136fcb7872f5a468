"""Fully connected capsule layer (capFC), the last capsule layer of an EncapNet."""

import math

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import check_input, whole_number
from encapnet_tf.ops.precision import cast_numbers


@keras.saving.register_keras_serializable("encapnet_tf")
class CapFC(keras.layers.Layer):
    """Fully connected capsule layer (capFC) without iterative routing.

    See section 3.1 of the paper. Component d of an output capsule is a weighted sum of component d of all input
    capsules. There is no bias.

    Args:
        num_capsules: output capsules (classes).
        capsule_dim: components of an output capsule and of an input capsule.
        kernel_initializer: Keras initializer of the (component, capsules in, capsules out) kernel; None is Glorot
            normal for each component's matrix.
        kernel_regularizer: Keras regularizer or None.

    Call arguments:
        inputs: a feature map (batch, height, width, channels), channels a multiple of `capsule_dim` and capsule-major,
            read as capsules in the order (capsule, height, width); or capsules (batch, capsules, capsule_dim).

    Returns:
        (batch, num_capsules, capsule_dim).

    Raises:
        ValueError: the input has another shape, or a size other than the batch's is unknown.

    Example:

    >>> import keras
    >>> CapFC(num_capsules=10, capsule_dim=16)(keras.ops.ones((2, 4, 4, 512))).shape == (2, 10, 16)
    True
    """

    def __init__(self, num_capsules, capsule_dim, kernel_initializer=None, kernel_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.num_capsules = whole_number("num_capsules", num_capsules)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape):
        check_input(self, input_shape)
        sizes = input_shape[1:]
        fits = len(sizes) in (2, 3) and None not in sizes
        if not fits or sizes[-1] % self.capsule_dim or (len(sizes) == 2 and sizes[-1] != self.capsule_dim):
            raise ValueError(
                f"{self.name} (capsule_dim={self.capsule_dim}) expects a feature map (batch, height, width, channels) "
                f"of known size whose channels are a multiple of {self.capsule_dim}, or capsules "
                f"(batch, capsules, {self.capsule_dim}). Received: input shape {tuple(input_shape)}."
            )
        # Glorot normal for each component's matrix. Keras multiplies the fans of a 3-D kernel by its first axis, the
        # components; the scale cancels that factor.
        default = keras.initializers.VarianceScaling(self.capsule_dim, "fan_avg", "untruncated_normal")
        self.kernel = self.add_weight(
            shape=(self.capsule_dim, math.prod(sizes) // self.capsule_dim, self.num_capsules),
            initializer=self.kernel_initializer or default,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.input_spec = keras.layers.InputSpec(shape=(None, *sizes))

    def call(self, inputs):
        return ops.squash(K.einsum("bid,dio->bod", self._lower_capsules(inputs), self.kernel))

    def _lower_capsules(self, inputs):
        """Reshape the layer's input to a list of capsules.

        The list has shape (batch, capsules, capsule_dim). A feature map is reshaped; capsules keep their shape.
        """
        inputs = cast_numbers(inputs, self.compute_dtype)
        if len(inputs.shape) == 3:
            return inputs
        capsules = K.transpose(ops.split_capsules(inputs, self.capsule_dim), (0, 3, 1, 2, 4))
        return K.reshape(capsules, (-1, self.kernel.shape[1], self.capsule_dim))

    def mapped_capsules(self, inputs):
        """Compute each input capsule's vote for each output capsule.

        `call` sums and squashes them.

        Args:
            inputs: as in `call`.

        Returns:
            (batch, input capsules in the order (capsule, height, width), num_capsules, capsule_dim).
        """
        return K.einsum("bid,dio->biod", self._lower_capsules(inputs), self.kernel)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_capsules, self.capsule_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "num_capsules": self.num_capsules,
            "capsule_dim": self.capsule_dim,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
