"""Layer that applies squash, the usual nonlinearity of capsule networks."""

import keras

from encapnet_tf import ops
from encapnet_tf.arguments import check_input, one_of, optional_number, whole_number
from encapnet_tf.ops.precision import cast_numbers
from encapnet_tf.ops.squash import KINDS


@keras.saving.register_keras_serializable("encapnet_tf")
class Squash(keras.layers.Layer):
    """Layer that scales each capsule vector to a length in [0, 1) without changing the direction (squash).

    See section 2.1 of the paper:

        v = |s|^2 / (1 + |s|^2) * s / |s|

    With `kind="exponential"` it is that of Efficient-CapsNet, v = (1 - exp(-|s|)) * s / |s|.

    Args:
        capsule_dim: components of a capsule. The last axis is read as capsules in capsule-major order
            (channel = capsule * capsule_dim + component), so any feature map can be squashed.
        kind, epsilon: arguments of `ops.squash`.

    Call arguments:
        inputs: (..., num_capsules * capsule_dim).

    Returns:
        Tensor of the shape of `inputs`.

    Raises:
        ValueError: `capsule_dim` does not divide the last axis.

    Example:

    >>> import keras
    >>> Squash(capsule_dim=8)(keras.ops.ones((2, 4, 4, 64))).shape == (2, 4, 4, 64)
    True
    """

    def __init__(self, capsule_dim, kind="norm", epsilon=None, **kwargs):
        super().__init__(**kwargs)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
        self.kind = one_of("kind", kind, KINDS)
        self.epsilon = optional_number("epsilon", epsilon, least=0)

    def build(self, input_shape):
        check_input(self, input_shape, any_rank=True)
        if input_shape[-1] is None or input_shape[-1] % self.capsule_dim:
            raise ValueError(
                f"Squash(capsule_dim={self.capsule_dim}) needs a last axis that is a multiple of {self.capsule_dim}. "
                f"Received: input shape {tuple(input_shape)}."
            )

    def call(self, inputs):
        inputs = cast_numbers(inputs, self.compute_dtype)
        capsules = ops.split_capsules(inputs, self.capsule_dim)
        return ops.merge_capsules(ops.squash(capsules, kind=self.kind, epsilon=self.epsilon))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "capsule_dim": self.capsule_dim, "kind": self.kind, "epsilon": self.epsilon}
