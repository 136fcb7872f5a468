"""Convolutional capsule layer with self-routing."""

import math

import keras
from keras import ops as K

from encapnet_tf.arguments import input_capsule_dim, one_of, refuse_empty, whole_number, whole_pair
from encapnet_tf.ops.precision import at_least_float32, cast_numbers
from encapnet_tf.ops.routing.attention import split_inputs
from encapnet_tf.ops.routing.patches import PADDINGS, capsule_patches, window_counts


@keras.saving.register_keras_serializable("encapnet_tf")
class SelfRouting2D(keras.layers.Layer):
    """Convolutional capsule layer with self-routing, in which each capsule predicts its own routing coefficients.

    T. Hahn, M. Pyeon and G. Kim, NeurIPS 2019. There are no iterations. With the activations a_i and poses p_i of the
    capsules i under the kernel at a position:

        r_ij = softmax_j(p_i R_ij + b_ij),    a_j = sum_i a_i r_ij / sum_i a_i,
        pose_j = sum_i a_i r_ij (p_i W_ij) / sum_i a_i r_ij

    Each capsule at each place of the kernel has weights of its own, which all positions share. A position without any
    active capsule gets activations and poses of 0.

    Large numbers of votes p_i W_ij are computed in pieces and, in training, again in the backward pass.

    Args:
        num_capsules: output capsules at each position.
        capsule_dim: components of an output pose. None: the layer computes no poses, as the last one of a network.
        kernel_size: side of the kernel, or its (height, width). A kernel of the map's size with padding "valid" makes a
            fully connected layer.
        strides: step in both directions, or (down, right).
        padding: "same": kernel_size // 2 zeros on both sides, at every stride; "valid": none.
        kernel_initializer: Keras initializer of W, (input capsule, input component, output capsule, output component),
            where input capsules are in the order (row of the kernel, column of the kernel, capsule). None is uniform
            between -1 / sqrt(input components) and its negative.
        routing_initializer: Keras initializer of R, (input capsule, input component, output capsule). With zeros,
            routing starts uniform.
        bias_initializer: Keras initializer of b, (input capsule, output capsule).
        kernel_regularizer: Keras regularizer of W and R, or None.

    Call arguments:
        inputs: list of activations (batch, height, width, capsules), not negative, and poses
            (batch, height, width, capsules * input_dim), capsule-major.

    Returns:
        List of activations (batch, new height, new width, num_capsules), which sum to 1 over the capsules, and poses
        (batch, new height, new width, num_capsules * capsule_dim); the activations alone if `capsule_dim` is None.

    Raises:
        ValueError: the inputs have other shapes or are smaller than the kernel.

    Example:

    >>> import keras
    >>> layer = SelfRouting2D(num_capsules=8, capsule_dim=16, kernel_size=3, strides=2)
    >>> activations, poses = layer([keras.ops.ones((2, 8, 6, 4)), keras.ops.ones((2, 8, 6, 4 * 9))])
    >>> activations.shape == (2, 4, 3, 8), poses.shape == (2, 4, 3, 8 * 16)
    (True, True)
    """

    def __init__(
        self,
        num_capsules,
        capsule_dim,
        kernel_size=3,
        strides=1,
        padding="same",
        kernel_initializer=None,
        routing_initializer="zeros",
        bias_initializer="zeros",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_capsules = whole_number("num_capsules", num_capsules)
        self.capsule_dim = None if capsule_dim is None else whole_number("capsule_dim", capsule_dim)
        self.kernel_size = whole_pair("kernel_size", kernel_size)
        self.strides = whole_pair("strides", strides)
        self.padding = one_of("padding", padding, PADDINGS)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.routing_initializer = keras.initializers.get(routing_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape):
        of_activations, of_poses = self._two_shapes(input_shape)
        refuse_empty(self.name, of_activations)
        shapes = (of_activations, of_poses)
        self.input_spec = [keras.layers.InputSpec(ndim=4, axes={-1: shape[-1]}) for shape in shapes]
        self._num_input_capsules = of_activations[-1]
        input_dim = input_capsule_dim(self.name, of_poses, self._num_input_capsules)
        window_counts(self.name, of_poses, self.kernel_size, self.strides, self.padding)
        num_inputs = self.kernel_size[0] * self.kernel_size[1] * self._num_input_capsules
        limit = input_dim**-0.5
        uniform = keras.initializers.RandomUniform(-limit, limit)
        self.kernel = None
        if self.capsule_dim is not None:
            self.kernel = self.add_weight(
                shape=(num_inputs, input_dim, self.num_capsules, self.capsule_dim),
                initializer=self.kernel_initializer or uniform,
                regularizer=self.kernel_regularizer,
                name="kernel",
            )
        self.routing_kernel = self.add_weight(
            shape=(num_inputs, input_dim, self.num_capsules),
            initializer=self.routing_initializer,
            regularizer=self.kernel_regularizer,
            name="routing_kernel",
        )
        self.bias = self.add_weight(
            shape=(num_inputs, self.num_capsules), initializer=self.bias_initializer, name="bias"
        )

    def _two_shapes(self, input_shape):
        """Check that activations and poses have equal heights and widths, and return the shapes of both."""
        shapes = [tuple(shape) for shape in input_shape if isinstance(shape, list | tuple)]
        if len(shapes) != 2 or len(shapes[0]) != 4 or shapes[0][-1] is None or shapes[0][1:3] != shapes[1][1:3]:
            raise ValueError(
                f"{self.name} expects a list of activations (batch, height, width, capsules) and poses "
                f"(batch, height, width, capsules * input_dim). Received: input shapes {input_shape}."
            )
        return shapes

    def call(self, inputs, training=None):
        activations, poses = (cast_numbers(x, self.compute_dtype) for x in inputs)
        window = (self._num_input_capsules, self.kernel_size, self.strides, self.padding)
        activations, sizes = capsule_patches(activations, *window)
        poses, _ = capsule_patches(poses, *window)
        weights = [w for w in (self.routing_kernel, self.bias, self.kernel) if w is not None]
        tensors = [at_least_float32(x) for x in (activations, poses, *weights)]
        positions = 1 if None in inputs[0].shape[1:3] else sizes[0] * sizes[1]
        pieces = split_inputs(tensors, positions * self.num_capsules * (self.capsule_dim or 1))
        function = keras.remat(_route_piece) if training and len(pieces) > 1 else _route_piece
        weight, *pose_sums = (sum(parts) for parts in zip(*(function(*piece) for piece in pieces), strict=True))
        outputs = [_divide(weight, K.sum(tensors[0], axis=0))]
        outputs += [_divide(pose_sum, weight[..., None]) for pose_sum in pose_sums]
        outputs = [K.cast(K.reshape(y, (-1, *sizes, math.prod(y.shape[1:]))), self.compute_dtype) for y in outputs]
        return outputs if self.capsule_dim is not None else outputs[0]

    def compute_output_shape(self, input_shape):
        of_activations, of_poses = self._two_shapes(input_shape)
        sizes = window_counts(self.name, of_poses, self.kernel_size, self.strides, self.padding)
        shape = (of_activations[0], *sizes, self.num_capsules)
        return shape if self.capsule_dim is None else [shape, (*shape[:3], self.num_capsules * self.capsule_dim)]

    def get_config(self):
        return {
            **super().get_config(),
            "num_capsules": self.num_capsules,
            "capsule_dim": self.capsule_dim,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "routing_initializer": keras.initializers.serialize(self.routing_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def _route_piece(activations, poses, routing_kernel, bias, kernel=None):
    """Sum the activations and votes of a subset of the input capsules, weighted by self-routing coefficients.

    Args:
        activations: a, (inputs, samples, 1).
        poses: p, (inputs, samples, input_dim).
        routing_kernel, bias, kernel: R, b and W of these inputs.

    Returns:
        List of sum_i a_i r_ij (samples, outputs) and, if there is a kernel, sum_i a_i r_ij (p_i W_ij)
        (samples, outputs, capsule_dim).
    """
    inputs, input_dim, outputs = routing_kernel.shape
    weights = activations * K.softmax(K.matmul(poses, routing_kernel) + bias[:, None], axis=-1)
    sums = [K.sum(weights, axis=0)]
    if kernel is not None:
        capsule_dim = kernel.shape[-1]
        votes = K.matmul(poses, K.reshape(kernel, (inputs, input_dim, outputs * capsule_dim)))
        votes = K.reshape(votes, (inputs, -1, outputs, capsule_dim))
        sums.append(K.sum(weights[..., None] * votes, axis=0))
    return sums


def _divide(total, weight):
    """Divide a weighted sum by the sum of the weights, or return 0 if all weights are 0."""
    return total / K.where(weight > 0, weight, 1.0)
