"""Layer that computes the Euclidean lengths of capsules, which are the class scores of a capsule network."""

import keras

from encapnet_tf import ops
from encapnet_tf.arguments import check_input, finite_number
from encapnet_tf.ops.precision import cast_numbers
from encapnet_tf.ops.squash import EPSILON


@keras.saving.register_keras_serializable("encapnet_tf")
class CapsuleLength(keras.layers.Layer):
    """Layer that computes the Euclidean length of each capsule, which serves as a class score.

    See section 2.2 of the paper.

    Args:
        epsilon: added to the squared length, so that the gradient at 0 is finite. The released codes of CapsNet and
            Efficient-CapsNet add 1e-7.

    Call arguments:
        inputs: (batch, num_capsules, capsule_dim).

    Returns:
        (batch, num_capsules), in [0, 1) for squashed capsules.

    Raises:
        ValueError: `epsilon` is below 1e-30 or not finite.

    Example:

    >>> import keras
    >>> float(CapsuleLength()(keras.ops.convert_to_tensor([[[0.6, 0.8]]]))[0, 0])
    1.0
    """

    def __init__(self, epsilon=EPSILON, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = finite_number("epsilon", epsilon, least=1e-30)

    def build(self, input_shape):
        check_input(self, input_shape, any_rank=True)

    def call(self, inputs):
        return ops.capsule_length(cast_numbers(inputs, self.compute_dtype), epsilon=self.epsilon)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[:-1])

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
