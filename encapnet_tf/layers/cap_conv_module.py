"""The paper's encapsulated module: one capConv that grows the capsules, then several that deepen the network."""

import keras

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.layers.cap_conv2d import CapConv2D

SKIPS = ("both", "type1", "type2", "none")


@keras.saving.register_keras_serializable("encapnet_tf")
class CapConvModule(keras.layers.Layer):
    """Encapsulated module: a type I capConv, then `depth` type II capConvs with one skip around them (Fig. 3a).

    Type I (kernel 3) raises the capsule dimension, with a dense 3x3 convolution as its shortcut. Type II (kernel 1)
    keeps the shape; the type I output joins the LAST type II layer before its BatchNorm-ReLU-squash.

    Args:
        capsule_dim: components of an output capsule.
        num_capsules: capsules at input and output. Must divide the input channels.
        depth: number of type II layers, 0 or more (the paper's N).
        strides: step of the type I layer (1 in the paper's first module, 2 in the others).
        routing, coefficients, aide_excludes_own: as in `CapConv2D`, for every layer of the module.
        skip: which skips there are: "both", "type1" (the dense shortcut), "type2" (the one around the type II layers),
            "none" (Table 3, rows 4 to 7).
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only); settable.
        kernel_initializer, bias_initializer, kernel_regularizer: for every convolution of the module.

    Call arguments:
        inputs: (batch, height, width, num_capsules * input_capsule_dim).

    Returns:
        (batch, ceil(height / strides), ceil(width / strides), num_capsules * capsule_dim), capsule-major.

    Raises:
        ValueError: as `CapConv2D`, or `skip` is unknown.

    Example:

    >>> import keras
    >>> CapConvModule(capsule_dim=4, num_capsules=8, depth=2)(keras.ops.ones((1, 8, 6, 16))).shape == (1, 4, 3, 32)
    True
    """

    def __init__(
        self,
        capsule_dim,
        num_capsules=32,
        depth=3,
        strides=2,
        routing="master_aide",
        coefficients="both",
        skip="both",
        aide_excludes_own=False,
        synchronized=False,
        kernel_initializer="glorot_normal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.depth = whole_number("depth", depth, least=0)
        self.skip = one_of("skip", skip, SKIPS)

        def cap_conv(name, kernel_size, strides, shortcut_convolution=False):
            return CapConv2D(
                capsule_dim,
                num_capsules,
                kernel_size,
                strides,
                routing,
                coefficients,
                aide_excludes_own=aide_excludes_own,
                shortcut_convolution=shortcut_convolution,
                synchronized=synchronized,
                kernel_initializer=kernel_initializer,
                bias_initializer=bias_initializer,
                kernel_regularizer=kernel_regularizer,
                dtype=self.dtype_policy,
                name=f"{self.name}_{name}",
            )

        own_shortcut = self.skip in ("both", "type1")
        self.type1 = cap_conv("type1", kernel_size=3, strides=strides, shortcut_convolution=own_shortcut)
        self.type2 = [cap_conv(f"type2_{i + 1}", kernel_size=1, strides=1) for i in range(self.depth)]

    @property
    def synchronized(self):
        return self.type1.synchronized

    @synchronized.setter
    def synchronized(self, value):
        for layer in (self.type1, *self.type2):
            layer.synchronized = value

    def build(self, input_shape):
        self.type1.build(input_shape)
        for layer in self.type2:
            layer.build(self.type1.compute_output_shape(input_shape))

    def connect(self, inputs, half=None, same=None):
        """Wires the module's layers: the body of `call`, and what `EncapNet` lays out flat in its own graph.

        Args:
            inputs: tensor or symbolic tensor, (batch, height, width, num_capsules * input_capsule_dim).
            half: a `FeedbackAgreement` from the middle type II layer's output (the type I output where there is none)
                to the module's input, or None.
            same: one from the module's output to its type I output, or None.

        Returns:
            The module's output.
        """
        x = type1 = self.type1(inputs)
        if half is not None and not self.type2:
            x = half([x, inputs])
        for i, layer in enumerate(self.type2):
            joins = i == self.depth - 1 and self.skip in ("both", "type2")
            x = layer(x, shortcut=type1 if joins else None)
            if half is not None and i == (self.depth - 1) // 2:
                x = half([x, inputs])
        return x if same is None else same([x, type1])

    def call(self, inputs):
        return self.connect(inputs)

    def compute_output_shape(self, input_shape):
        return self.type1.compute_output_shape(input_shape)

    def get_config(self):
        shared = (
            "capsule_dim",
            "num_capsules",
            "strides",
            "routing",
            "coefficients",
            "aide_excludes_own",
            "synchronized",
            "kernel_initializer",
            "bias_initializer",
            "kernel_regularizer",
        )
        type1 = self.type1.get_config()
        return {
            **super().get_config(),
            **{key: type1[key] for key in shared},
            "depth": self.depth,
            "skip": self.skip,
        }
