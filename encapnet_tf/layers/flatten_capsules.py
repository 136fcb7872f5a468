"""Layer that reshapes a feature map to a list of capsules."""

import math

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import check_input, one_of, whole_number
from encapnet_tf.ops.precision import cast_numbers

ORDERS = ("position", "capsule")


@keras.saving.register_keras_serializable("encapnet_tf")
class FlattenCapsules(keras.layers.Layer):
    """Layer that reshapes a feature map to a list of capsules.

    Args:
        capsule_dim: components of a capsule; must divide the channels.
        order: "position": capsules are sorted by (row, column, capsule), as in CapsNet and Efficient-CapsNet.
            "capsule": by (capsule, row, column), as in inverted dot-product attention, `CapFC` and EncapNet's dynamic
            routing.

    Call arguments:
        inputs: feature map (batch, height, width, channels), capsule-major (channel = capsule * capsule_dim +
            component).

    Returns:
        (batch, height * width * channels / capsule_dim, capsule_dim).

    Raises:
        ValueError: the input is no feature map, or `capsule_dim` does not divide its channels.

    Example:

    >>> import keras
    >>> FlattenCapsules(capsule_dim=8)(keras.ops.ones((2, 6, 6, 256))).shape == (2, 1152, 8)
    True
    """

    def __init__(self, capsule_dim, order="position", **kwargs):
        super().__init__(**kwargs)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
        self.order = one_of("order", order, ORDERS)

    def build(self, input_shape):
        check_input(self, input_shape)
        if len(input_shape) != 4 or input_shape[-1] is None or input_shape[-1] % self.capsule_dim:
            raise ValueError(
                f"{self.name} expects a feature map (batch, height, width, channels) whose channels are a multiple of "
                f"capsule_dim={self.capsule_dim}. Received: input shape {tuple(input_shape)}."
            )

    def call(self, inputs):
        inputs = cast_numbers(inputs, self.compute_dtype)
        if self.order == "capsule":
            inputs = K.transpose(ops.split_capsules(inputs, self.capsule_dim), (0, 3, 1, 2, 4))
        shape = K.shape(inputs)
        sizes = inputs.shape[1:]
        count = -1 if None in sizes else math.prod(sizes) // self.capsule_dim
        return K.reshape(inputs, (shape[0] if count == -1 else -1, count, self.capsule_dim))

    def compute_output_shape(self, input_shape):
        batch, *sizes = input_shape
        count = None if None in sizes else math.prod(sizes) // self.capsule_dim
        return (batch, count, self.capsule_dim)

    def get_config(self):
        return {**super().get_config(), "capsule_dim": self.capsule_dim, "order": self.order}
