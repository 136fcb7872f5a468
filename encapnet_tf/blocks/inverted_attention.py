"""Base class of the layers with inverted dot-product attention routing."""

import math

import keras
from keras import ops as K

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.ops.precision import at_least_float32
from encapnet_tf.ops.routing.inverted_attention import POSES, inverted_attention


class InvertedAttention(keras.layers.Layer):
    """Base class that creates the weights of layers with inverted dot-product attention routing.

    Args:
        num_capsules: output capsules.
        capsule_dim: components of an output capsule.
        iterations: passes.
        pose: "vector" or "matrix".
        kernel_initializer: Keras initializer of the kernel; None is a normal distribution.
        kernel_regularizer: Keras regularizer or None.
    """

    def __init__(
        self,
        num_capsules,
        capsule_dim,
        iterations=2,
        pose="vector",
        kernel_initializer=None,
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_capsules = whole_number("num_capsules", num_capsules)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
        self.iterations = whole_number("iterations", iterations)
        self.pose = one_of("pose", pose, POSES)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._rows = math.isqrt(self.capsule_dim) if pose == "matrix" else 1
        if pose == "matrix" and self._rows**2 != self.capsule_dim:
            raise ValueError(
                "A matrix pose is a square matrix, so capsule_dim must be a square number such as 16. "
                f"Received: capsule_dim={capsule_dim}."
            )

    def create_weights(self, num_inputs, input_dim):
        """Create the transformation matrices of a capsule layer, and the scale and offset for layer normalisation.

        Args:
            num_inputs: input capsules of an output capsule, each with a matrix of its own.
            input_dim: components of an input capsule.
        """
        if self.pose == "matrix" and input_dim != self.capsule_dim:
            raise ValueError(
                f"{self.name}: with pose='matrix', input and output capsules have equally many components. "
                f"Received: {input_dim} components in, capsule_dim={self.capsule_dim}."
            )
        columns = input_dim // self._rows
        stddev = (self.num_capsules / (columns * num_inputs)) ** 0.5
        self.kernel = self.add_weight(
            shape=(num_inputs, columns, self.num_capsules, self.capsule_dim // self._rows),
            initializer=self.kernel_initializer or keras.initializers.RandomNormal(stddev=stddev),
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.gamma = self.beta = None
        if self.capsule_dim > 1:
            self.gamma = self.add_weight(shape=(self.capsule_dim,), initializer="ones", name="gamma")
            self.beta = self.add_weight(shape=(self.capsule_dim,), initializer="zeros", name="beta")

    def route(self, capsules, previous=None, *, positions=1, training=False):
        """Compute the output capsules of inverted dot-product attention routing, in float32 or a wider dtype.

        Args:
            capsules: (inputs, samples, input_dim).
            previous: output capsules of the pass before, (samples, num_capsules, capsule_dim), or None.
            positions: how many of the samples belong to one sample of the batch.
            training: whether a gradient will be taken.

        Returns:
            (samples, num_capsules, capsule_dim).
        """
        inputs, columns = self.kernel.shape[:2]
        wide = [
            None if x is None else at_least_float32(x) for x in (capsules, self.kernel, self.gamma, self.beta, previous)
        ]
        capsules, kernel, gamma, beta, previous = wide
        capsules = K.reshape(capsules, (inputs, -1, self._rows, columns))
        return inverted_attention(
            capsules, kernel, gamma, beta, self.iterations, previous, positions=positions, recompute=bool(training)
        )

    def get_config(self):
        return {
            **super().get_config(),
            "num_capsules": self.num_capsules,
            "capsule_dim": self.capsule_dim,
            "iterations": self.iterations,
            "pose": self.pose,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
