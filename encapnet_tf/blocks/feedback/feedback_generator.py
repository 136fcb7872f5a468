"""Networks that reconstruct a lower layer's output from a higher layer's output.

They are the generators of the regularisation layer `FeedbackAgreement`.
"""

import keras

from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.blocks.capsule_activation import CapsuleActivation
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D
from encapnet_tf.blocks.transposed_conv2d import TransposedConv2D

GENERATORS = ("capsule", "conv", "resize")


def feedback_generator(kind: str, higher_shape, lower_shape, *, num_capsules: int, synchronized: bool, dtype):
    """Build a network that reconstructs a lower layer's output from a higher layer's output.

    It is g in section 3.2 of the paper. "capsule": 3x3 transposed convolution grouped by capsule, batch normalisation,
    ReLU, squash (a transposed capConv). "conv": dense transposed convolution, batch normalisation, ReLU, for any
    channel counts. On token sequences the convolution is one-dimensional, on feature vectors a dense layer takes its
    place. "resize": bilinear resizing of a feature map to any other size, then a dense 3x3 convolution, batch
    normalisation, ReLU.

    Its layers have fixed names. TensorFlow (2.21) keeps about 35 kB for every new name of a variable until the process
    ends, so with Keras's counted names (`conv1d_17`) a process that loads a model often would grow.

    Args:
        kind: "capsule", "conv" or "resize".
        higher_shape, lower_shape: shapes with the batch axis, (batch, height, width, channels), (batch, tokens,
            features) or (batch, features), both of one rank.
        num_capsules: groups of the "capsule" generator.
        synchronized: whether batch statistics are taken over all replicas.
        dtype: dtype policy of its layers.

    Returns:
        A `keras.Sequential`.

    Raises:
        ValueError: no generator of this kind connects the two shapes.
    """
    if kind == "resize":
        mappings = _resizing_convolution(higher_shape, lower_shape, dtype)
        return _network_with_norm_and_relu(mappings, synchronized, dtype)
    _check_shapes(higher_shape, lower_shape)
    filters = lower_shape[-1]
    if kind == "capsule":
        if len(lower_shape) != 4 or higher_shape[-1] % num_capsules or filters % num_capsules:
            raise ValueError(
                'generator="capsule" connects feature maps whose channels are multiples of '
                f"num_capsules={num_capsules}. Received: higher {tuple(higher_shape)}, lower {tuple(lower_shape)}. "
                'generator="conv" takes any number of channels.'
            )
        mapping = TransposedConv2D(filters, lower_shape[1:3], num_capsules, dtype=dtype, name="mapping")
        activation = CapsuleActivation(filters // num_capsules, synchronized, dtype=dtype, name="activation")
        return keras.Sequential([mapping, activation], name="generator")
    if len(lower_shape) == 4:
        mappings = [TransposedConv2D(filters, lower_shape[1:3], dtype=dtype, name="mapping")]
    elif len(lower_shape) == 3:
        mappings = _token_convolutions(filters, higher_shape[1], lower_shape[1], dtype)
    else:
        mappings = [keras.layers.Dense(filters, dtype=dtype, name="mapping")]
    return _network_with_norm_and_relu(mappings, synchronized, dtype)


def _network_with_norm_and_relu(mappings, synchronized, dtype):
    """Build a Sequential model that applies a list of layers, then batch normalisation, then ReLU."""
    norm = BatchNorm(synchronized=synchronized, dtype=dtype, name="norm")
    return keras.Sequential([*mappings, norm, keras.layers.ReLU(dtype=dtype, name="relu")], name="generator")


def _resizing_convolution(higher_shape, lower_shape, dtype):
    """Create the Keras layers that resize a feature map bilinearly and then apply a 3x3 convolution."""
    if len(higher_shape) != 4 or len(lower_shape) != 4 or None in (*higher_shape[1:], *lower_shape[1:]):
        raise ValueError(
            'generator="resize" connects two feature maps (batch, height, width, channels) of known sizes. '
            f"Received: higher {tuple(higher_shape)}, lower {tuple(lower_shape)}."
        )
    _, height, width, filters = lower_shape
    resize = keras.layers.Resizing(
        height, width, interpolation="bilinear", data_format="channels_last", dtype=dtype, name="resize"
    )
    return [resize, GroupedConv2D(filters, 3, dtype=dtype, name="mapping")]


def _check_shapes(higher_shape, lower_shape):
    """Raise ValueError if the output of a layer cannot be upsampled to the output shape of a lower layer.

    The sizes decide: each size of the lower layer must be the higher layer's, twice that, or twice that less 1.
    """
    received = f"Received: higher {tuple(higher_shape)}, lower {tuple(lower_shape)}."
    if len(higher_shape) != len(lower_shape) or len(lower_shape) not in (2, 3, 4):
        raise ValueError(
            "A generator connects two feature maps, two token sequences or two feature vectors. "
            f"{received} Pass a generator layer of your own for other shapes."
        )
    for high, low in zip(higher_shape[1:-1], lower_shape[1:-1], strict=True):
        if None in (high, low):
            raise ValueError(f"Two layers can be connected only if their sizes are known. {received}")
        if low not in (high, 2 * high, 2 * high - 1):
            raise ValueError(
                "A generator keeps or doubles the size: the lower layer's size must be n, 2 n or 2 n - 1, where n is "
                f"the higher layer's. {received} Connect layers with at most one stride of 2 between them, choose "
                'generator="resize", or pass a generator layer of your own.'
            )


def _token_convolutions(filters, higher_tokens, lower_tokens, dtype):
    """Create the Keras layers of a 1-D convolution that keeps or roughly doubles the sequence length.

    A transposed convolution doubles the length. An odd length is the doubled one without its first token, as
    with `output_padding=0`, which Keras 3.10 refuses.
    """
    if higher_tokens == lower_tokens:
        return [keras.layers.Conv1D(filters, 3, padding="same", dtype=dtype, name="mapping")]
    doubled = keras.layers.Conv1DTranspose(
        filters, 3, strides=2, padding="same", output_padding=1, dtype=dtype, name="mapping"
    )
    surplus = 2 * higher_tokens - lower_tokens
    return [doubled, keras.layers.Cropping1D((surplus, 0), dtype=dtype, name="cropping")] if surplus else [doubled]
