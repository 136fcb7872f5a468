"""Base class of capsule layers with dynamic or EM routing.

It computes the votes of input capsules for output capsules, see section 2.1 of the paper.
"""

import math

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import check_input, whole_number
from encapnet_tf.ops.precision import at_least_float32

_CAPSULES_OF_A_MAP = 32  # at each position, where nothing is said


class CapsuleMapping(keras.layers.Layer):
    """Base class that computes the votes for capsule layers with dynamic or EM routing.

    There is one matrix for each pair of an input and an output capsule. All positions of an input capsule share its
    matrices: the mapping is a 1x1 convolution grouped by capsule, with a bias, to num_input_capsules * num_capsules *
    capsule_dim channels (Fig. 1b of the paper). After `build`, the kernel's first axis is the number of input capsules.

    Args:
        num_capsules: output capsules.
        capsule_dim: components of an output capsule.
        num_input_capsules: capsules of the input at each position. None: 32 on a feature map; all capsules of an input
            (batch, capsules, input_dim), each with matrices of its own.
        iterations: rounds of routing.
        kernel_initializer: Keras initializer of the (input capsule, input component, output capsule, output component)
            kernel; None is a normal distribution whose standard deviation the subclass gives.
        bias_initializer: Keras initializer of the mapping's bias.
        kernel_regularizer: Keras regularizer or None.
        use_bias: whether the mapping has a bias.
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
        use_bias=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_capsules = whole_number("num_capsules", num_capsules)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
        self.num_input_capsules = (
            None if num_input_capsules is None else whole_number("num_input_capsules", num_input_capsules)
        )
        self.iterations = whole_number("iterations", iterations)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.use_bias = bool(use_bias)
        self.bias = None

    def build(self, input_shape):
        check_input(self, input_shape)
        groups, self._positions, input_dim = self._input_sizes(input_shape)
        shape = (groups, input_dim, self.num_capsules, self.capsule_dim)
        stddev = self._initial_stddev(groups * self._positions)
        self.kernel = self.add_weight(
            shape=shape,
            initializer=self.kernel_initializer or keras.initializers.RandomNormal(stddev=stddev),
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(shape=(groups, *shape[2:]), initializer=self.bias_initializer, name="bias")

    def _input_sizes(self, input_shape):
        """Split an input shape into the number of capsules, the number of positions and the capsule dimension.

        Raise ValueError for another kind of input.
        """
        sizes, capsules = tuple(input_shape[1:]), self.num_input_capsules
        if None not in sizes and len(sizes) in (2, 3):
            is_map = len(sizes) == 3
            if capsules is None:
                capsules = _CAPSULES_OF_A_MAP if is_map else sizes[0]
            if is_map and sizes[2] % capsules == 0:
                return capsules, sizes[0] * sizes[1], sizes[2] // capsules
            if not is_map and sizes[0] % capsules == 0:
                return capsules, sizes[0] // capsules, sizes[1]
        capsules = capsules or _CAPSULES_OF_A_MAP
        raise ValueError(
            f"{self.name} (num_input_capsules={self.num_input_capsules}) expects a feature map (batch, height, width, "
            f"channels) of known size whose channels are a multiple of {capsules}, or capsules (batch, capsules, "
            f"capsule_dim) whose number is a multiple of {capsules}. Received: input shape {tuple(input_shape)}."
        )

    def _initial_stddev(self, num_inputs: int) -> float:
        """Return the default standard deviation of the initial kernel values of a routing layer.

        Args:
            num_inputs: input capsules at all positions together.
        """
        raise NotImplementedError

    def lower_capsules(self, inputs):
        """Reshape the layer's input to separate axes for capsules, positions and vector components.

        Return shape (batch, num_input_capsules, positions, input_dim), which the routing operations expect.
        """
        if len(inputs.shape) == 4:
            inputs = ops.split_capsules(inputs, self.kernel.shape[1])
            inputs = K.transpose(inputs, (0, 3, 1, 2, 4))
        shape = (-1, self.kernel.shape[0], self._positions, self.kernel.shape[1])
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
