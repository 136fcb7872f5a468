"""Base class of the layers for dynamic routing and EM routing.

It computes the votes of input capsules for output capsules, see section 2.1 of the paper.
"""

import math

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import whole_number
from encapnet_tf.ops.precision import at_least_float32


class CapsuleMapping(keras.layers.Layer):
    """Keras layer that computes capsule votes, and base class of the layers for dynamic and EM routing.

    There is one matrix for each pair of an input and an output capsule. All positions of an input capsule share its
    matrices: the mapping is a 1x1 convolution grouped by capsule, with a bias, to num_input_capsules * num_capsules *
    capsule_dim channels (Fig. 1b of the paper).

    Args:
        num_capsules: output capsules.
        capsule_dim: components of an output capsule.
        num_input_capsules: capsules of the input at each position.
        iterations: rounds of routing.
        kernel_initializer: Keras initializer of the (input capsule, input component, output capsule, output component)
            kernel; None is a normal distribution whose standard deviation the subclass gives.
        bias_initializer: Keras initializer of the mapping's bias.
        kernel_regularizer: Keras regularizer or None.
    """

    def __init__(
        self,
        num_capsules,
        capsule_dim,
        num_input_capsules=32,
        iterations=3,
        kernel_initializer=None,
        bias_initializer="zeros",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_capsules = whole_number("num_capsules", num_capsules)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
        self.num_input_capsules = whole_number("num_input_capsules", num_input_capsules)
        self.iterations = whole_number("iterations", iterations)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape):
        self._positions, input_dim = self._positions_and_input_dim(input_shape)
        shape = (self.num_input_capsules, input_dim, self.num_capsules, self.capsule_dim)
        self.kernel = self.add_weight(
            shape=shape,
            initializer=self.kernel_initializer or keras.initializers.RandomNormal(stddev=self._initial_stddev()),
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = self.add_weight(shape=(shape[0], *shape[2:]), initializer=self.bias_initializer, name="bias")

    def _positions_and_input_dim(self, input_shape):
        """Derive the number of spatial positions and the capsule dimension from the shape of an input tensor.

        Raise ValueError for another kind of input.
        """
        sizes, capsules = tuple(input_shape[1:]), self.num_input_capsules
        if None not in sizes and len(sizes) == 3 and sizes[2] % capsules == 0:
            return sizes[0] * sizes[1], sizes[2] // capsules
        if None not in sizes and len(sizes) == 2 and sizes[0] % capsules == 0:
            return sizes[0] // capsules, sizes[1]
        raise ValueError(
            f"{self.name} (num_input_capsules={capsules}) expects a feature map (batch, height, width, channels) of "
            f"known size whose channels are a multiple of {capsules}, or capsules (batch, capsules, capsule_dim) whose "
            f"number is a multiple of {capsules}. Received: input shape {tuple(input_shape)}."
        )

    def _initial_stddev(self) -> float:
        """Return the default standard deviation of the initial kernel values of a routing layer."""
        raise NotImplementedError

    def lower_capsules(self, inputs):
        """Reshape an input tensor to capsules of shape (batch, num_input_capsules, positions, input_dim)."""
        if len(inputs.shape) == 4:
            inputs = ops.split_capsules(inputs, self.kernel.shape[1])
            inputs = K.transpose(inputs, (0, 3, 1, 2, 4))
        shape = (-1, self.num_input_capsules, self._positions, self.kernel.shape[1])
        return at_least_float32(K.reshape(inputs, shape))

    def mapped_capsules(self, inputs):
        """Compute each input capsule's vote for each output capsule, before routing.

        Args:
            inputs: as in `call`.

        Returns:
            (batch, input capsules in the order (capsule, height, width), num_capsules, capsule_dim).
        """
        votes = ops.mapped_capsules(self.lower_capsules(inputs), self.kernel, self.bias)
        return K.reshape(votes, (-1, math.prod(votes.shape[1:3]), self.num_capsules, self.capsule_dim))

    def get_config(self):
        return {
            **super().get_config(),
            "num_capsules": self.num_capsules,
            "capsule_dim": self.capsule_dim,
            "num_input_capsules": self.num_input_capsules,
            "iterations": self.iterations,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
