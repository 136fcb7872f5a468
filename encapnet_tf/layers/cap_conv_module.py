"""Stack of convolutional capsule layers that forms one stage of an EncapNet (an "encapsulated module")."""

import keras

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.layers.cap_conv2d import CapConv2D

SKIPS = ("both", "type1", "type2", "none")


@keras.saving.register_keras_serializable("encapnet_tf")
class CapConvModule(keras.layers.Layer):
    """Stack of convolutional capsule layers with skip connections (an "encapsulated module").

    It is the module of Fig. 3a of the paper. The first layer (type I, kernel 3) raises the capsule dimension and has a
    dense 3x3 convolution as its shortcut. The `depth` others (type II, kernel 1) keep the shape. The type I output is
    added in the LAST type II layer, before its BatchNorm-ReLU-squash.

    Args:
        capsule_dim: components of an output capsule.
        num_capsules: capsules at input and output. Must divide the input channels.
        depth: number of type II layers, 0 or more (the paper's N).
        strides: stride of the type I layer (1 in the paper's first module, 2 in the others).
        routing, coefficients, aide_excludes_own: arguments of `CapConv2D`, for every layer of the module.
        skip: skip connections of the module. "type1": the dense shortcut of the type I layer. "type2": the skip around
            the type II layers. "both" or "none" of them (Table 3, rows 4 to 7).
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only); settable.
        kernel_initializer, bias_initializer, kernel_regularizer: Keras initializers and regularizer of every
            convolution of the module.

    Call arguments:
        inputs: (batch, height, width, num_capsules * input_capsule_dim).

    Returns:
        (batch, ceil(height / strides), ceil(width / strides), num_capsules * capsule_dim), capsule-major.

    Raises:
        ValueError: `skip` is unknown, or `CapConv2D` refuses an argument.

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

        has_shortcut = self.skip in ("both", "type1")
        self.type1 = cap_conv("type1", kernel_size=3, strides=strides, shortcut_convolution=has_shortcut)
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

    def connect(self, inputs, after_layer=lambda name, output: output):
        """Apply the capsule layers of a stack in order, and add the skip connection.

        `call` uses it, and so do the model builders, which lay the module's layers out flat in their own graph.

        Args:
            inputs: tensor or symbolic tensor, (batch, height, width, num_capsules * input_capsule_dim).
            after_layer: function of a layer's name and its output that returns the tensor for the next layer, such as
                `FeedbackPlacement.after_layer`.

        Returns:
            The module's output.
        """
        type1 = self.type1(inputs)
        x = after_layer(self.type1.name, type1)
        for i, layer in enumerate(self.type2):
            has_skip = i == self.depth - 1 and self.skip in ("both", "type2")
            x = after_layer(layer.name, layer(x, shortcut=type1 if has_skip else None))
        return x

    def call(self, inputs):
        return self.connect(inputs)

    def compute_output_shape(self, input_shape):
        return self.type1.compute_output_shape(input_shape)

    def get_config(self):
        arguments_of_its_layers = (
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
            **{key: type1[key] for key in arguments_of_its_layers},
            "depth": self.depth,
            "skip": self.skip,
        }
