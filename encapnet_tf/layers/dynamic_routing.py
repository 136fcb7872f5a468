"""Capsule layer with dynamic routing: what capConv replaces."""

import keras

from encapnet_tf import ops
from encapnet_tf.arguments import one_of
from encapnet_tf.blocks.capsule_mapping import CapsuleMapping
from encapnet_tf.ops.routing.dynamic_routing import SOFTMAX_OVER


@keras.saving.register_keras_serializable("encapnet_tf")
class DynamicRouting(CapsuleMapping):
    """Capsule layer of CapNet: maps every lower capsule to every higher one, then routes by agreement (Eq. 1).

        c = softmax(b),    s_j = sum_i c_ij v_{j|i},    v_j = squash(s_j),    b_ij <- b_ij + v_{j|i} . v_j

    The mapped activations v_{j|i} never stand in memory: see `ops.dynamic_routing`.

    Args:
        num_capsules: output capsules.
        capsule_dim: components of an output capsule.
        num_input_capsules: capsules of the input at each position; those of one capsule share its matrices.
        iterations: rounds of routing.
        softmax_over: "output", a lower capsule shares itself out among the higher ones, as published; "input", a higher
            capsule chooses among the lower ones, as the paper's release does.
        kernel_initializer: Keras initializer of the (input capsule, input component, output capsule, output component)
            kernel; None is normal. With the softmax over "output" its scale is such that independent lower capsules
            of length 1 make higher ones of about length 1 before the squash; it is 1 over "input".
        bias_initializer: Keras initializer of the mapping's bias.
        kernel_regularizer: Keras regularizer or None.

    Call arguments:
        inputs: a feature map (batch, height, width, channels), channels a multiple of `num_input_capsules` and
            capsule-major; or capsules (batch, capsules, input_dim) in the order (capsule, height, width).

    Returns:
        (batch, num_capsules, capsule_dim); lengths are in [0, 1).

    Raises:
        ValueError: the input's shape is neither of the two, or a size other than the batch's is unknown.

    Example:

    >>> import keras
    >>> layer = DynamicRouting(num_capsules=10, capsule_dim=16, num_input_capsules=4)
    >>> layer(keras.ops.ones((2, 3, 3, 32))).shape == (2, 10, 16)
    True
    """

    def __init__(
        self,
        num_capsules,
        capsule_dim,
        num_input_capsules=32,
        iterations=3,
        softmax_over="output",
        kernel_initializer=None,
        bias_initializer="zeros",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(
            num_capsules,
            capsule_dim,
            num_input_capsules,
            iterations,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            **kwargs,
        )
        self.softmax_over = one_of("softmax_over", softmax_over, SOFTMAX_OVER)

    def _initial_scale(self):
        if self.softmax_over == "input":
            return 1.0  # a higher capsule may end up with a single lower one
        inputs = self.num_input_capsules * self._positions
        return self.num_capsules / (inputs * self.capsule_dim) ** 0.5  # at first c is 1 / num_capsules

    def call(self, inputs):
        outputs = ops.dynamic_routing(
            self.lower_capsules(inputs), self.kernel, self.bias, self.iterations, self.softmax_over
        )
        return keras.ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_capsules, self.capsule_dim)

    def get_config(self):
        return {**super().get_config(), "softmax_over": self.softmax_over}
