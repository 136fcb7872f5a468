"""Convolutional capsule layer with inverted dot-product attention routing."""

import keras
from keras import ops as K

from encapnet_tf.arguments import check_input, input_capsule_dim, one_of, whole_number, whole_pair
from encapnet_tf.blocks.inverted_attention import InvertedAttention
from encapnet_tf.ops.precision import cast_numbers
from encapnet_tf.ops.routing.patches import PADDINGS, capsule_patches, window_counts


@keras.saving.register_keras_serializable("encapnet_tf")
class InvertedAttentionConv2D(InvertedAttention):
    """Convolutional capsule layer with inverted dot-product attention routing.

    At each position it routes the capsules under its kernel as `InvertedAttentionRouting` routes its input. Each
    capsule at each place of the kernel has matrices of its own, which all positions share.

    Args:
        num_capsules: output capsules at each position.
        capsule_dim: components of an output capsule.
        num_input_capsules: input capsules at each position.
        kernel_size: side of the kernel, or its (height, width).
        strides: step in both directions, or (down, right).
        iterations: passes of a call.
        pose: "vector" or "matrix", as in `InvertedAttentionRouting`.
        padding: "same": kernel_size // 2 zeros on both sides, at every stride; "valid": none.
        kernel_initializer: Keras initializer of the kernel, of shape (input capsule, columns of its pose, output
            capsule, columns of its pose), where input capsules are in the order (row of the kernel, column of the
            kernel, capsule). None is as in `InvertedAttentionRouting`.
        kernel_regularizer: Keras regularizer or None.

    Call arguments:
        inputs: feature map (batch, height, width, num_input_capsules * input_dim), capsule-major.
        previous: output of the layer's last call, or None, as in `InvertedAttentionRouting`.

    Returns:
        (batch, new height, new width, num_capsules * capsule_dim), capsule-major.

    Raises:
        ValueError: the input has another shape or is smaller than the kernel, or `capsule_dim` does not fit `pose`.

    Example:

    >>> import keras
    >>> layer = InvertedAttentionConv2D(8, 16, num_input_capsules=4, kernel_size=3, strides=2)
    >>> layer(keras.ops.ones((2, 8, 6, 4 * 9))).shape == (2, 4, 3, 8 * 16)
    True
    """

    def __init__(
        self,
        num_capsules,
        capsule_dim,
        num_input_capsules=32,
        kernel_size=3,
        strides=1,
        iterations=2,
        pose="vector",
        padding="same",
        kernel_initializer=None,
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(num_capsules, capsule_dim, iterations, pose, kernel_initializer, kernel_regularizer, **kwargs)
        self.num_input_capsules = whole_number("num_input_capsules", num_input_capsules)
        self.kernel_size = whole_pair("kernel_size", kernel_size)
        self.strides = whole_pair("strides", strides)
        self.padding = one_of("padding", padding, PADDINGS)

    def build(self, input_shape):
        check_input(self, input_shape)
        input_dim = input_capsule_dim(self.name, input_shape, self.num_input_capsules)
        window_counts(self.name, input_shape, self.kernel_size, self.strides, self.padding)
        self.create_weights(self.kernel_size[0] * self.kernel_size[1] * self.num_input_capsules, input_dim)

    def call(self, inputs, previous=None, training=None):
        inputs = cast_numbers(inputs, self.compute_dtype)
        capsules, sizes = capsule_patches(inputs, self.num_input_capsules, self.kernel_size, self.strides, self.padding)
        if previous is not None:
            previous = K.reshape(previous, (-1, self.num_capsules, self.capsule_dim))
        positions = 1 if None in inputs.shape[1:3] else sizes[0] * sizes[1]
        outputs = self.route(capsules, previous, positions=positions, training=training)
        outputs = K.reshape(outputs, (-1, *sizes, self.num_capsules * self.capsule_dim))
        return K.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        sizes = window_counts(self.name, input_shape, self.kernel_size, self.strides, self.padding)
        return (input_shape[0], *sizes, self.num_capsules * self.capsule_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "num_input_capsules": self.num_input_capsules,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
        }
