"""Fully connected capsule layer with iterative dynamic routing.

The paper compares capConv with it.
"""

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import one_of, optional_number
from encapnet_tf.blocks.capsule_mapping import CapsuleMapping
from encapnet_tf.ops.routing.dynamic_routing import SOFTMAX_OVER


@keras.saving.register_keras_serializable("encapnet_tf")
class DynamicRouting(CapsuleMapping):
    """Fully connected capsule layer with dynamic routing by agreement (EncapNet paper, Eq. 1).

    `models.CapNet` uses it.

        c = softmax(b),    s_j = sum_i c_ij v_{j|i},    v_j = squash(s_j),    b_ij <- b_ij + v_{j|i} . v_j

    v_{j|i} is the vote of lower capsule i for higher capsule j. The votes are never all in memory at once: see
    `ops.dynamic_routing`.

    Args:
        num_capsules: output capsules.
        capsule_dim: components of an output capsule.
        num_input_capsules: capsules of the input at each position; those of one capsule share its matrices. None: 32 on
            a feature map; all capsules of an input (batch, capsules, input_dim), each with matrices of its own, as
            published by Sabour et al. (2017).
        iterations: rounds of routing.
        softmax_over: axis of the softmax. "output": the coefficients of a lower capsule sum to 1 over the higher ones,
            as published. "input": those of a higher capsule sum to 1 over the lower ones, as in the paper's release.
        kernel_initializer: Keras initializer of the (input capsule, input component, output capsule, output component)
            kernel. None is a normal distribution. Its standard deviation with the softmax over "output" is such that
            independent lower capsules of length 1 give higher ones of about length 1 before the squash; it is 1 with
            the softmax over "input".
        bias_initializer: Keras initializer of the mapping's bias.
        kernel_regularizer: Keras regularizer or None.
        use_bias: whether the mapping has a bias. Sabour et al. have none.
        epsilon: argument of `ops.squash`, 1e-7 in released codes of CapsNet.

    Call arguments:
        inputs: a feature map (batch, height, width, channels), channels a multiple of `num_input_capsules` and
            capsule-major; or capsules (batch, capsules, input_dim) in the order (capsule, height, width).

    Returns:
        (batch, num_capsules, capsule_dim); lengths are in [0, 1).

    Raises:
        ValueError: the input has another shape, or a size other than the batch's is unknown.

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
        num_input_capsules=None,
        iterations=3,
        softmax_over="output",
        kernel_initializer=None,
        bias_initializer="zeros",
        kernel_regularizer=None,
        use_bias=True,
        epsilon=None,
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
            use_bias,
            **kwargs,
        )
        self.softmax_over = one_of("softmax_over", softmax_over, SOFTMAX_OVER)
        self.epsilon = optional_number("epsilon", epsilon, least=0)

    def _initial_stddev(self, num_inputs):
        if self.softmax_over == "input":
            return 1.0  # the softmax may put the whole weight of a higher capsule on one lower capsule
        return (
            self.num_capsules / (num_inputs * self.capsule_dim) ** 0.5
        )  # the coefficients c start at 1 / num_capsules

    def call(self, inputs, training=None):
        outputs = ops.dynamic_routing(
            self.lower_capsules(inputs),
            self.kernel,
            self.bias,
            self.iterations,
            self.softmax_over,
            epsilon=self.epsilon,
            recompute=bool(training),
        )
        return K.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_capsules, self.capsule_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "softmax_over": self.softmax_over,
            "use_bias": self.use_bias,
            "epsilon": self.epsilon,
        }
