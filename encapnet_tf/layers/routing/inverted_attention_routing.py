"""Fully connected capsule layer with inverted dot-product attention routing."""

import keras
from keras import ops as K

from encapnet_tf.arguments import capsule_sizes, check_input
from encapnet_tf.blocks.inverted_attention import InvertedAttention
from encapnet_tf.ops.precision import cast_numbers


@keras.saving.register_keras_serializable("encapnet_tf")
class InvertedAttentionRouting(InvertedAttention):
    """Fully connected capsule layer with inverted dot-product attention routing.

    Y.-H. H. Tsai, N. Srivastava, H. Goh and R. Salakhutdinov, ICLR 2020, arXiv 2002.04764. The higher capsules v_j
    compete for the votes of each lower capsule P_i, and are normalised instead of squashed:

        V_ij = P_i W_ij,    r_ij = softmax_j(V_ij . v_j / sqrt(capsule_dim)),    v_j = LayerNorm(sum_i r_ij V_ij)

    In the first pass r_ij = 1 / num_capsules. The layer normalisation is over the components of a capsule (epsilon
    1e-5); its scale and offset are shared by all capsules, and there is none where `capsule_dim` is 1.

    Large numbers of votes are computed in pieces and, in training, again in the backward pass.

    Args:
        num_capsules: output capsules.
        capsule_dim: components of an output capsule.
        iterations: passes of a call.
        pose: "vector": P_i is a row vector. "matrix": P_i, W_ij and v_j are square matrices; input capsules have
            `capsule_dim` components, a square number, read row by row.
        kernel_initializer: Keras initializer of the kernel W, of shape (input capsule, columns of P_i, output capsule,
            columns of v_j). None is a normal distribution of variance num_capsules / (columns of P_i * input capsules).
        kernel_regularizer: Keras regularizer or None.

    Call arguments:
        inputs: capsules (batch, capsules, input_dim). `FlattenCapsules` makes them from a feature map.
        previous: output of the layer's last call, (batch, num_capsules, capsule_dim). The passes then continue from it,
            so that layers can route concurrently: with `iterations=1`, each call makes one pass. None starts anew.

    Returns:
        (batch, num_capsules, capsule_dim).

    Raises:
        ValueError: the input has another shape, or a size other than the batch's is unknown; or `capsule_dim` does not
            fit `pose`.

    Example:

    >>> import keras
    >>> layer = InvertedAttentionRouting(num_capsules=10, capsule_dim=16, pose="matrix")
    >>> layer(keras.ops.ones((2, 32, 16))).shape == (2, 10, 16)
    True
    """

    def build(self, input_shape):
        check_input(self, input_shape)
        self.create_weights(*capsule_sizes(self.name, input_shape))

    def call(self, inputs, previous=None, training=None):
        capsules = K.transpose(cast_numbers(inputs, self.compute_dtype), (1, 0, 2))
        return K.cast(self.route(capsules, previous, training=training), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_capsules, self.capsule_dim)
