"""Fully connected capsule layer with self-attention routing, as in Efficient-CapsNet."""

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import capsule_sizes, check_input, optional_number, whole_number
from encapnet_tf.ops.precision import at_least_float32
from encapnet_tf.ops.routing.attention import attend_to_votes, sum_votes


@keras.saving.register_keras_serializable("encapnet_tf")
class SelfAttentionRouting(keras.layers.Layer):
    """Fully connected capsule layer with the non-iterative self-attention routing of Efficient-CapsNet.

    V. Mazzia, F. Salvetti and M. Chiaberge, Scientific Reports 11, 2021, arXiv 2101.12491. A vote counts the more, the
    better it agrees with the sum of all votes:

        V_ij = x_i W_ij,    c_ij = softmax_j(V_ij . sum_k V_kj / sqrt(capsule_dim)) + b_ij,
        v_j = squash(sum_i c_ij V_ij),    squash(s) = (1 - exp(-|s|)) s / |s|

    Large numbers of votes are computed in pieces and, in training, again in the backward pass.

    Args:
        num_capsules: output capsules.
        capsule_dim: components of an output capsule.
        epsilon: argument of `ops.squash`.
        kernel_initializer: Keras initializer of the (input capsule, input component, output capsule, output component)
            kernel W. The default is that of the paper's release.
        bias_initializer: Keras initializer of b, (input capsule, output capsule).
        kernel_regularizer: Keras regularizer or None.

    Call arguments:
        inputs: capsules (batch, capsules, input_dim). `FlattenCapsules` makes them from a feature map.

    Returns:
        (batch, num_capsules, capsule_dim); lengths are in [0, 1).

    Raises:
        ValueError: the input has another shape, or a size other than the batch's is unknown.

    Example:

    >>> import keras
    >>> layer = SelfAttentionRouting(num_capsules=10, capsule_dim=16)
    >>> layer(keras.ops.ones((2, 32, 8))).shape == (2, 10, 16)
    True
    """

    def __init__(
        self,
        num_capsules,
        capsule_dim,
        epsilon=None,
        kernel_initializer="he_normal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_capsules = whole_number("num_capsules", num_capsules)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
        self.epsilon = optional_number("epsilon", epsilon, least=0)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape):
        check_input(self, input_shape)
        sizes = capsule_sizes(self.name, input_shape)
        self.kernel = self.add_weight(
            shape=(*sizes, self.num_capsules, self.capsule_dim),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = self.add_weight(shape=(sizes[0], self.num_capsules), initializer=self.bias_initializer, name="bias")

    def call(self, inputs, training=None):
        capsules, kernel, bias = map(at_least_float32, (inputs, self.kernel, self.bias))
        capsules = K.transpose(capsules, (1, 0, 2))[:, :, None]
        query = sum_votes(capsules, kernel) * self.capsule_dim**-0.5
        sums = attend_to_votes(capsules, kernel, query, bias, recompute=bool(training))
        return K.cast(ops.squash(sums, kind="exponential", epsilon=self.epsilon), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_capsules, self.capsule_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "num_capsules": self.num_capsules,
            "capsule_dim": self.capsule_dim,
            "epsilon": self.epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
