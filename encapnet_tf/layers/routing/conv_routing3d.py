"""Convolutional capsule layer with the dynamic routing of DeepCaps (votes by a 3-D convolution)."""

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import check_input, input_capsule_dim, one_of, whole_number, whole_pair
from encapnet_tf.ops.precision import at_least_float32, cast_numbers
from encapnet_tf.ops.routing.patches import PADDINGS


@keras.saving.register_keras_serializable("encapnet_tf")
class ConvRouting3D(keras.layers.Layer):
    """Convolutional capsule layer with the dynamic routing of DeepCaps.

    J. Rajasegaran et al., CVPR 2019. A convolution that all input capsules i share makes a map of votes V_ij for each
    output capsule j; in the paper it is a 3-D convolution whose kernel covers one capsule. Then, with z = 0 at first,

        r_i = softmax(z_i) over all j and positions together,    s_j = sum_i r_ij V_ij + b_j,
        v_j = squash(s_j) of the whole map as one vector,    z_ij <- z_ij + V_ij . v_j at each position

    Differs from the released code, which reads the input's memory in the wrong order; this is the order of the paper.

    Args:
        num_capsules: output capsules at each position.
        capsule_dim: components of an output capsule.
        num_input_capsules: input capsules at each position.
        kernel_size: side of the kernel, or its (height, width).
        strides: step in both directions, or (down, right).
        padding: "same" or "valid", as in `keras.layers.Conv2D`.
        iterations: rounds of routing.
        kernel_initializer: Keras initializer of the (height, width, input component, num_capsules * capsule_dim)
            kernel.
        bias_initializer: Keras initializer of b, (num_capsules, capsule_dim); None is 0.1.
        kernel_regularizer: Keras regularizer or None.

    Call arguments:
        inputs: feature map (batch, height, width, num_input_capsules * input_dim), capsule-major.

    Returns:
        (batch, new height, new width, num_capsules * capsule_dim), capsule-major.

    Raises:
        ValueError: the input has another shape.

    Example:

    >>> import keras
    >>> layer = ConvRouting3D(8, 16, num_input_capsules=4, kernel_size=3, strides=2)
    >>> layer(keras.ops.ones((2, 8, 6, 4 * 9))).shape == (2, 4, 3, 8 * 16)
    True
    """

    def __init__(
        self,
        num_capsules,
        capsule_dim,
        num_input_capsules=32,
        kernel_size=3,
        strides=1,
        padding="same",
        iterations=3,
        kernel_initializer="he_normal",
        bias_initializer=None,
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_capsules = whole_number("num_capsules", num_capsules)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
        self.num_input_capsules = whole_number("num_input_capsules", num_input_capsules)
        self.kernel_size = whole_pair("kernel_size", kernel_size)
        self.strides = whole_pair("strides", strides)
        self.padding = one_of("padding", padding, PADDINGS)
        self.iterations = whole_number("iterations", iterations)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape):
        check_input(self, input_shape)
        input_dim = input_capsule_dim(self.name, input_shape, self.num_input_capsules)
        self._check_size(input_shape)
        self.kernel = self.add_weight(
            shape=(*self.kernel_size, input_dim, self.num_capsules * self.capsule_dim),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.num_capsules, self.capsule_dim),
            initializer=self.bias_initializer or keras.initializers.Constant(0.1),
            name="bias",
        )

    def call(self, inputs):
        inputs = cast_numbers(inputs, self.compute_dtype)
        capsules, input_dim = self.num_input_capsules, self.kernel.shape[2]
        _, height, width, _ = K.shape(inputs)
        maps = K.transpose(ops.split_capsules(inputs, input_dim), (0, 3, 1, 2, 4))
        maps = K.reshape(maps, (-1, height, width, input_dim))
        votes = K.conv(maps, self.kernel, self.strides, self.padding, data_format="channels_last")
        _, height, width, channels = K.shape(votes)
        votes = at_least_float32(K.reshape(votes, (-1, capsules, height * width * self.num_capsules, self.capsule_dim)))
        outputs = self._route(votes, height * width)
        return K.cast(K.reshape(outputs, (-1, height, width, channels)), self.compute_dtype)

    def _route(self, votes, positions):
        """Compute output capsules by dynamic routing of the votes.

        No tensor has more than four axes, for LiteRT.

        Args:
            votes: (batch, num_input_capsules, positions * num_capsules, capsule_dim).
            positions: of the output map.

        Returns:
            (batch, positions, num_capsules, capsule_dim).
        """
        sizes = (positions, self.num_capsules, self.capsule_dim)
        logits = K.zeros_like(votes[..., 0])
        bias = at_least_float32(self.bias)
        for iteration in range(self.iterations):
            coefficients = K.softmax(logits, axis=-1)
            sums = K.reshape(K.sum(coefficients[..., None] * votes, axis=1), (-1, *sizes))
            outputs = ops.squash(sums + bias, axis=(1, 3))
            if iteration < self.iterations - 1:
                flat = K.reshape(outputs, (-1, 1, positions * self.num_capsules, self.capsule_dim))
                logits = logits + K.sum(votes * flat, axis=-1)
        return outputs

    def _check_size(self, input_shape):
        """Raise ValueError if a feature map is smaller than the kernel of a convolution without padding."""
        sizes = zip(input_shape[1:3], self.kernel_size, strict=True)
        if self.padding == "valid" and any(size is not None and size < kernel for size, kernel in sizes):
            raise ValueError(
                f"{self.name} expects a feature map of at least its kernel's size {self.kernel_size} with "
                f"padding='valid'. Received: input shape {tuple(input_shape)}."
            )

    def compute_output_shape(self, input_shape):
        self._check_size(input_shape)
        offsets = self.kernel_size if self.padding == "valid" else (1, 1)
        sizes = (
            None if size is None else (size - offset) // stride + 1
            for size, offset, stride in zip(input_shape[1:3], offsets, self.strides, strict=True)
        )
        return (input_shape[0], *sizes, self.num_capsules * self.capsule_dim)

    def get_config(self):
        return {
            **super().get_config(),
            "num_capsules": self.num_capsules,
            "capsule_dim": self.capsule_dim,
            "num_input_capsules": self.num_input_capsules,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "iterations": self.iterations,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
