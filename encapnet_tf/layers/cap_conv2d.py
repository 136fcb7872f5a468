"""Convolutional capsule layer (capConv) without iterative routing."""

from functools import partial

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import check_input, odd_int, one_of, whole_number
from encapnet_tf.blocks.capsule_activation import CapsuleActivation
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D
from encapnet_tf.blocks.other_capsules_conv2d import OtherCapsulesConv2D
from encapnet_tf.ops.acceleration import run_compiled
from encapnet_tf.ops.convolution.lowerings import block_diagonal_kernel

ROUTINGS = ("master", "master_aide")
COEFFICIENTS = ("own", "cross", "both")


@keras.saving.register_keras_serializable("encapnet_tf")
class CapConv2D(keras.layers.Layer):
    """Convolutional capsule layer (capConv) without iterative routing (EncapNet paper, Eq. 6).

    It approximates routing by two branches, a master and an aide:

        s = m1 * master(u) + m2 * aide(u)    (+ shortcut)    -> BatchNorm -> ReLU -> squash

    The master is a convolution grouped by capsule: output capsule j reads input capsule j. The aide is a dense
    convolution with a larger kernel that also reads the other capsules. Each branch ends in a BatchNorm-ReLU-squash of
    its own. The coefficients m1 and m2 are scalars per capsule and position, computed by 3x3 convolutions grouped by
    capsule.

    Differs from the paper: its text has the aide read only the OTHER capsules. Its released code reads all of them, and
    so does this layer by default; `aide_excludes_own=True` is the aide of the text.

    Args:
        capsule_dim: components of an output capsule.
        num_capsules: capsules at input and output (32 in the paper). Must divide the input channels.
        kernel_size: odd side of the master's kernel. The paper has 3 where the dimension grows (type I layers) and 1
            elsewhere (type II layers).
        strides: stride of both branches.
        routing: "master_aide", or "master": the mapping alone, without branch BatchNorm or coefficients.
        coefficients: inputs of m1 and m2 (Table 3, rows 2 to 4). "own": m1 from the master and m2 from the
            aide; "cross": m1 from the aide and m2 from the master (the release); "both": each from the capsule's master
            and aide activations together (the paper's best).
        aide_kernel_size: odd side of the aide's kernel; default `kernel_size + 4`.
        aide_excludes_own: whether the aide of output capsule j leaves out input capsule j.
        shortcut_convolution: whether to add a dense convolution of the input, with the master's kernel size and stride,
            as a shortcut (in type I layers, where the shape changes).
        post_activation: False stops after the interaction (and shortcut), before BatchNorm-ReLU-squash.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only); settable.
        kernel_initializer, bias_initializer, kernel_regularizer: Keras initializers and regularizer of every
            convolution of the layer.

    Call arguments:
        inputs: (batch, height, width, num_capsules * input_capsule_dim).
        shortcut: None, or a tensor of the output's shape, added before the last BatchNorm.

    Returns:
        (batch, ceil(height / strides), ceil(width / strides), num_capsules * capsule_dim), capsule-major.

    Raises:
        ValueError: the channels are no multiple of `num_capsules`, `routing` or `coefficients` is unknown, a kernel
            size is even, or the shortcut has another shape than the output.

    Example:

    >>> import keras
    >>> layer = CapConv2D(capsule_dim=4, num_capsules=8, kernel_size=3, strides=2)
    >>> layer(keras.ops.ones((1, 8, 6, 16))).shape == (1, 4, 3, 32)
    True
    """

    def __init__(
        self,
        capsule_dim,
        num_capsules=32,
        kernel_size=1,
        strides=1,
        routing="master_aide",
        coefficients="both",
        aide_kernel_size=None,
        aide_excludes_own=False,
        shortcut_convolution=False,
        post_activation=True,
        synchronized=False,
        kernel_initializer="glorot_normal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.capsule_dim = whole_number("capsule_dim", capsule_dim)
        self.num_capsules = whole_number("num_capsules", num_capsules)
        self.kernel_size = odd_int("kernel_size", kernel_size)
        self.strides = whole_number("strides", strides)
        self.routing = one_of("routing", routing, ROUTINGS)
        self.coefficients = one_of("coefficients", coefficients, COEFFICIENTS)
        self.aide_kernel_size = odd_int(
            "aide_kernel_size", self.kernel_size + 4 if aide_kernel_size is None else aide_kernel_size
        )
        self.aide_excludes_own = bool(aide_excludes_own)
        if self.aide_excludes_own and self.num_capsules == 1 and self.routing == "master_aide":
            raise ValueError(
                "aide_excludes_own=True needs at least 2 capsules: the aide reads the other capsules only. "
                "Received: num_capsules=1."
            )
        self.shortcut_convolution = bool(shortcut_convolution)
        self.post_activation = bool(post_activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._synchronized = bool(synchronized)

        filters = self.num_capsules * self.capsule_dim
        self.master = self._convolution("master", filters, self.kernel_size, self.strides, self.num_capsules)
        if self.routing == "master_aide":
            kind = partial(OtherCapsulesConv2D, self.num_capsules) if self.aide_excludes_own else GroupedConv2D
            self.aide = self._convolution("aide", filters, self.aide_kernel_size, self.strides, groups=1, kind=kind)
            self.master_activation = self._activation("master_activation")
            self.aide_activation = self._activation("aide_activation")
            self.master_coefficient = self._convolution("m1", self.num_capsules, 3, 1, self.num_capsules)
            self.aide_coefficient = self._convolution("m2", self.num_capsules, 3, 1, self.num_capsules)
        if self.shortcut_convolution:
            self.shortcut = self._convolution("shortcut", filters, self.kernel_size, self.strides, groups=1)
        if self.post_activation:
            self.activation = self._activation("activation")

    def _convolution(self, name, filters, kernel_size, strides, groups, kind=GroupedConv2D):
        return kind(
            filters,
            kernel_size,
            strides,
            groups,
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
            name=name,
        )

    def _activation(self, name):
        # The dense aide takes so long that recomputing maps costs little; a master layer would be 3 % slower.
        recompute_output = self.routing == "master_aide"
        return CapsuleActivation(
            self.capsule_dim, self._synchronized, recompute_output, dtype=self.dtype_policy, name=name
        )

    @property
    def synchronized(self):
        return self._synchronized

    @synchronized.setter
    def synchronized(self, value):
        self._synchronized = bool(value)
        for name in ("master_activation", "aide_activation", "activation"):
            if hasattr(self, name):
                getattr(self, name).synchronized = value

    def build(self, input_shape):
        check_input(self, input_shape)
        if len(input_shape) != 4 or input_shape[-1] is None or input_shape[-1] % self.num_capsules:
            raise ValueError(
                f"{self.name} expects a feature map (batch, height, width, channels) whose channels are a multiple of "
                f"num_capsules={self.num_capsules}. Received: input shape {tuple(input_shape)}."
            )
        output_shape = self.compute_output_shape(input_shape)
        self.master.build(input_shape)
        if self.routing == "master_aide":
            self.aide.build(input_shape)
            self.master_activation.build(output_shape)
            self.aide_activation.build(output_shape)
            source_channels = output_shape[-1] * (2 if self.coefficients == "both" else 1)
            self.master_coefficient.build((*output_shape[:-1], source_channels))
            self.aide_coefficient.build((*output_shape[:-1], source_channels))
        if self.shortcut_convolution:
            self.shortcut.build(input_shape)
        if self.post_activation:
            self.activation.build(output_shape)

    def call(self, inputs, shortcut=None, training=None):
        if self.routing == "master_aide":
            outputs = self._interact(inputs, training)
            if self.shortcut_convolution:
                outputs = outputs + self.shortcut(inputs, training=training)
        elif self.shortcut_convolution:
            outputs = self._master_and_shortcut(inputs, training)
        else:
            outputs = self.master(inputs, training=training)
        if shortcut is not None:
            self._check_shortcut(shortcut.shape, outputs.shape)
            outputs = outputs + K.cast(shortcut, outputs.dtype)
        if self.post_activation:
            outputs = self.activation(outputs, training=training)
        return outputs

    def _master_and_shortcut(self, inputs, training):
        """Compute the sum of a grouped and a dense convolution of the same input by a single dense convolution.

        The shortcut is the dense convolution.
        """
        kernel = self.shortcut.kernel + block_diagonal_kernel(self.master.kernel, self.num_capsules)
        bias = self.shortcut.bias + self.master.bias
        return ops.grouped_conv2d(inputs, kernel, 1, self.strides, bool(training)) + bias

    def _interact(self, inputs, training):
        """Compute the weighted sum of a grouped and a dense convolution of the input capsules (EncapNet paper, Eq. 6).

        The grouped convolution is the master, the dense one the aide. The sum is m1 * master + m2 * aide, with one
        coefficient for all components of a capsule.
        """
        master = self.master_activation(self.master(inputs, training=training), training=training)
        aide = self.aide_activation(self.aide(inputs, training=training), training=training)
        capsules, training = self.num_capsules, bool(training)
        m1, m2 = self.master_coefficient, self.aide_coefficient
        if self.coefficients == "both":
            # One convolution of each branch computes its share of m1 and m2 together, so the branches are neither
            # concatenated nor read twice.
            kernel = K.reshape(K.stack([m1.kernel, m2.kernel], axis=-1), (3, 3, -1, 2 * capsules))
            master_kernel, aide_kernel = K.split(kernel, 2, axis=2)
            from_master = ops.grouped_conv2d(master, master_kernel, capsules, training=training)
            from_aide = ops.grouped_conv2d(aide, aide_kernel, capsules, training=training)
            # The shares are added here rather than in the compiled function, which keeps what it is given in memory.
            pairs = (from_master + from_aide, m1.bias, m2.bias)
            return run_compiled(
                _weighted_sum_with_coefficient_pairs, (*pairs, master, aide), training, capsule_dim=self.capsule_dim
            )
        m1_source, m2_source = (master, aide) if self.coefficients == "own" else (aide, master)
        tensors = (m1(m1_source, training=training), m2(m2_source, training=training), master, aide)
        return run_compiled(_weighted_sum, tensors, training, capsule_dim=self.capsule_dim)

    def _check_shortcut(self, shape, expected):
        if len(shape) != len(expected) or any(
            None not in (a, b) and a != b for a, b in zip(shape[1:], expected[1:], strict=True)
        ):
            raise ValueError(
                f"{self.name}: the shortcut must have the output's shape {tuple(expected)}. "
                f"Received: shortcut of shape {tuple(shape)}."
            )

    def compute_output_shape(self, input_shape):
        return self.master.compute_output_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "capsule_dim": self.capsule_dim,
            "num_capsules": self.num_capsules,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "routing": self.routing,
            "coefficients": self.coefficients,
            "aide_kernel_size": self.aide_kernel_size,
            "aide_excludes_own": self.aide_excludes_own,
            "shortcut_convolution": self.shortcut_convolution,
            "post_activation": self.post_activation,
            "synchronized": self.synchronized,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def _weighted_sum(m1, m2, master, aide, capsule_dim):
    """Multiply each capsule of two feature maps by a coefficient, and add up the two maps.

    The result is m1 * master + m2 * aide, with m1 and m2 of shape (batch, height, width, num_capsules).
    """
    master, aide = ops.split_capsules(master, capsule_dim), ops.split_capsules(aide, capsule_dim)
    return ops.merge_capsules(m1[..., None] * master + m2[..., None] * aide)


def _weighted_sum_with_coefficient_pairs(pairs, m1_bias, m2_bias, master, aide, capsule_dim):
    """Compute the weighted sum of two capsule feature maps, with two coefficients for each capsule.

    The result is m1 * master + m2 * aide. The pairs (batch, height, width, 2 * num_capsules) have m1 and m2 of a
    capsule side by side, without their biases.
    """
    coefficients = ops.split_capsules(pairs, 2)
    m1, m2 = coefficients[..., 0] + m1_bias, coefficients[..., 1] + m2_bias
    return _weighted_sum(m1, m2, master, aide, capsule_dim)
