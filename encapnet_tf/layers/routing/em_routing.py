"""Fully connected capsule layer with iterative expectation-maximisation (EM) routing.

The paper compares capConv with it.
"""

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.blocks.capsule_mapping import CapsuleMapping


@keras.saving.register_keras_serializable("encapnet_tf")
class EMRouting(CapsuleMapping):
    """Fully connected capsule layer with expectation-maximisation (EM) routing (EncapNet paper, Eqs. 2 and 3).

    `models.CapNet(routing="em")` uses it. Each higher capsule is a Gaussian fitted to the votes assigned to it. Its
    mean is the capsule, and its activation is the higher, the closer together the votes lie. The votes are never all in
    memory at once: see `ops.em_routing`.

    Args:
        num_capsules: output capsules.
        capsule_dim: components of an output capsule.
        num_input_capsules: capsules of the input at each position; those of one capsule share its matrices. None: 32 on
            a feature map; all capsules of an input (batch, capsules, input_dim), each with matrices of its own.
        iterations: rounds of routing.
        rescale: whether costs and distances are scaled to the range -5 to 5 over the higher capsules, as in the
            paper's release.
        inverse_temperature: limit of the schedule lambda = inverse_temperature * (1 - 0.95^iteration). None is
            256 * num_capsules / (inputs * capsule_dim), since a cost is a sum over a capsule's share of the inputs and
            over its components. Differs from the paper: it gives no value. The common 0.01 (for 512 inputs and 5
            capsules of dimension 16) corresponds to a factor of 16 in place of 256, with which a CapNet did not learn
            the digits.
        kernel_initializer: Keras initializer of the (input capsule, input component, output capsule, output component)
            kernel. None is the standard normal distribution, with which costs start near 0.
        bias_initializer: Keras initializer of the mapping's bias.
        kernel_regularizer: Keras regularizer or None.

    Call arguments:
        inputs: a feature map (batch, height, width, channels), channels a multiple of `num_input_capsules` and
            capsule-major; or capsules (batch, capsules, input_dim) in the order (capsule, height, width).
        activations: activations of the input capsules, (batch, height, width, num_input_capsules), or
            (batch, capsules) in the order (capsule, height, width). Default: the capsules' lengths.

    Returns:
        Capsules (batch, num_capsules, capsule_dim) and their activations (batch, num_capsules) from 0 to 1.

    Raises:
        ValueError: the inputs or activations have another shape, or a size other than the batch's is unknown.

    Example:

    >>> import keras
    >>> layer = EMRouting(num_capsules=10, capsule_dim=16, num_input_capsules=4)
    >>> capsules, activations = layer(keras.ops.ones((2, 3, 3, 32)))
    >>> capsules.shape == (2, 10, 16), activations.shape == (2, 10)
    (True, True)
    """

    def __init__(
        self,
        num_capsules,
        capsule_dim,
        num_input_capsules=32,
        iterations=3,
        rescale=False,
        inverse_temperature=None,
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
        self.rescale = bool(rescale)
        self.inverse_temperature = _positive_or_none("inverse_temperature", inverse_temperature)

    def build(self, input_shape):
        super().build(input_shape)
        self.beta_u = self.add_weight(shape=(self.num_capsules,), initializer="zeros", name="beta_u")
        self.beta_a = self.add_weight(shape=(self.num_capsules,), initializer="zeros", name="beta_a")

    def _initial_stddev(self, num_inputs):
        return 1.0  # log sigma, the cost of a component, starts near 0

    def call(self, inputs, activations=None, training=None):
        arguments = self.routing_arguments(inputs, activations)
        capsules, activations = ops.em_routing(**arguments, recompute=bool(training))
        return K.cast(capsules, self.compute_dtype), K.cast(activations, self.compute_dtype)

    def routing_arguments(self, inputs, activations=None) -> dict:
        """Return the keyword arguments with which the layer calls `ops.em_routing` on its inputs.

        `inputs` and `activations` are as in `call`.
        """
        lower = self.lower_capsules(inputs)
        temperature = self.inverse_temperature
        if temperature is None:
            temperature = 256 * self.num_capsules / (self.kernel.shape[0] * self._positions * self.capsule_dim)
        return {
            "capsules": lower,
            "activations": ops.capsule_length(lower) if activations is None else self._lower_activations(activations),
            "kernel": self.kernel,
            "bias": self.bias,
            "beta_u": self.beta_u,
            "beta_a": self.beta_a,
            "iterations": self.iterations,
            "rescale": self.rescale,
            "inverse_temperature": temperature,
        }

    def _lower_activations(self, activations):
        """Reshape the activations of the input capsules to the axes that EM routing expects.

        The result has the shape (batch, num_input_capsules, positions).
        """
        shape, groups = tuple(activations.shape[1:]), self.kernel.shape[0]
        if len(shape) == 3 and shape[2] == groups and shape[0] * shape[1] == self._positions:
            activations = K.transpose(activations, (0, 3, 1, 2))
        elif shape != (groups * self._positions,):
            raise ValueError(
                f"{self.name} expects an activation for each of its {groups} x {self._positions} "
                f"input capsules: (batch, height, width, {groups}) or (batch, "
                f"{groups * self._positions}). Received: shape {tuple(activations.shape)}."
            )
        return K.reshape(activations, (-1, groups, self._positions))

    def compute_output_shape(self, input_shape):
        batch = input_shape[0]
        return (batch, self.num_capsules, self.capsule_dim), (batch, self.num_capsules)

    def get_config(self):
        return {
            **super().get_config(),
            "rescale": self.rescale,
            "inverse_temperature": self.inverse_temperature,
        }


def _positive_or_none(name, value):
    if value is not None and not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive number or None. Received: {name}={value!r}.")
    return value
