"""The generators and extractors that `FeedbackAgreement` knows by name, for the shapes it connects."""

import math

import keras
from keras import ops as K

from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.blocks.capsule_activation import CapsuleActivation
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D
from encapnet_tf.blocks.transposed_conv2d import TransposedConv2D
from encapnet_tf.ops.precision import at_least_float32

GENERATORS = ("capsule", "conv")
EXTRACTORS = ("conv",)

_SMALL = 8  # maps and sequences below this size are not halved: with few features a cosine after ReLU is 0 or 1


def generator(kind: str, num_capsules: int, higher_shape, lower_shape, **options):
    """The network g of section 3.2, from the higher layer's shape to the lower's.

    "capsule": a transposed capConv: 3x3 transposed convolution grouped by capsule, BatchNorm, ReLU, squash. "conv": a
    dense one, BatchNorm, ReLU, for any channel counts; on token sequences it is one-dimensional, on plain features a
    dense layer.

    Args:
        kind: "capsule" or "conv".
        num_capsules: groups of "capsule".
        higher_shape, lower_shape: with the batch axis; (batch, height, width, channels), (batch, tokens, features) or
            (batch, features), both of one kind.
        **options: `synchronized` and `dtype` of its layers.

    Returns:
        A Keras layer.

    Raises:
        ValueError: it cannot connect these shapes.
    """
    synchronized, dtype = options["synchronized"], options["dtype"]
    filters = lower_shape[-1]
    if len(higher_shape) != len(lower_shape) or len(lower_shape) not in (2, 3, 4):
        raise ValueError(
            f"A generator connects two feature maps, two token sequences or two feature vectors. "
            f"Received: higher {tuple(higher_shape)}, lower {tuple(lower_shape)}. Pass your own generator layer."
        )
    for axis in range(1, len(lower_shape) - 1):
        _check_sizes(higher_shape, lower_shape, axis)
    if kind == "capsule":
        if len(lower_shape) != 4 or higher_shape[-1] % num_capsules or filters % num_capsules:
            raise ValueError(
                'generator="capsule" connects feature maps whose channels are multiples of '
                f"num_capsules={num_capsules}. Received: higher {tuple(higher_shape)}, lower {tuple(lower_shape)}. "
                'generator="conv" takes any channels.'
            )
        first = TransposedConv2D(filters, lower_shape[1:3], num_capsules, dtype=dtype)
        return _sequential([first, CapsuleActivation(filters // num_capsules, synchronized, dtype=dtype)])
    if len(lower_shape) == 4:
        first = TransposedConv2D(filters, lower_shape[1:3], dtype=dtype)
    elif len(lower_shape) == 3:
        first = _tokens(filters, higher_shape[1], lower_shape[1], dtype)
    else:
        first = keras.layers.Dense(filters, dtype=dtype)
    return _sequential([first, _norm(synchronized, dtype), _relu(dtype)])


def extractor(shape, **options):
    """The network f of section 3.2: two 3x3 stride-2 convolution-BatchNorm-ReLU, channels -> channels // 4 -> 1.

    Below 8 pixels (or tokens) a side the stride is 1. On token sequences it is one-dimensional; plain features pass two
    dense layers, to a quarter and to a sixteenth of their number, but no fewer than 4.

    Args:
        shape: of the lower layer, with the batch axis.
        **options: `synchronized` and `dtype` of its layers.

    Returns:
        A Keras layer.
    """
    synchronized, dtype = options["synchronized"], options["dtype"]
    channels = shape[-1]
    sizes = shape[1:-1]
    if len(shape) == 2:
        layers = [keras.layers.Dense(max(4, channels // factor), dtype=dtype) for factor in (4, 16)]
    else:
        strides = 1 if min(sizes) < _SMALL else 2
        widths = (max(1, channels // 4), 1)
        if len(shape) == 3:
            layers = [keras.layers.Conv1D(n, 3, strides, padding="same", dtype=dtype) for n in widths]
        else:
            layers = [GroupedConv2D(n, 3, strides, dtype=dtype) for n in widths]
    return _sequential([part for layer in layers for part in (layer, _norm(synchronized, dtype), _relu(dtype))])


def _check_sizes(higher_shape, lower_shape, axis):
    high, low = higher_shape[axis], lower_shape[axis]
    if None in (high, low):
        raise ValueError(
            f"Sizes must be known to connect two layers. Received: higher {tuple(higher_shape)}, "
            f"lower {tuple(lower_shape)}."
        )
    if low not in (high, 2 * high, 2 * high - 1):
        raise ValueError(
            "A generator keeps or doubles the size: the lower layer's must be the higher's, twice that, or twice that "
            f"less 1. Received: higher {tuple(higher_shape)}, lower {tuple(lower_shape)}. Connect layers with at most "
            "one stride of 2 between them, or pass your own generator layer."
        )


def _tokens(filters, high, low, dtype):
    if high == low:
        return keras.layers.Conv1D(filters, 3, padding="same", dtype=dtype)
    return keras.layers.Conv1DTranspose(
        filters, 3, strides=2, padding="same", output_padding=low - 2 * high + 1, dtype=dtype
    )


def _norm(synchronized, dtype):
    return BatchNorm(synchronized=synchronized, dtype=dtype)


def _relu(dtype):
    return keras.layers.ReLU(dtype=dtype)


def _sequential(layers):
    return keras.Sequential(layers)


def named_or_layer(name, value, kinds):
    """A known name, None or a Keras layer, as given or from a configuration."""
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    if value is None or isinstance(value, keras.Layer) or value in kinds:
        return value
    raise ValueError(
        f"{name} must be one of {', '.join(map(repr, kinds))}, None or a Keras layer. Received: {name}={value!r}."
    )


def serialized(part):
    """The part as a configuration has it."""
    return keras.saving.serialize_keras_object(part) if isinstance(part, keras.Layer) else part


def as_trained(part, x):
    """A generator's or extractor's output in training mode, without its side effects."""
    if part is None:
        return x
    trainable, state = ([v.value for v in vs] for vs in (part.trainable_variables, part.non_trainable_variables))
    return part.stateless_call(trainable, state, x, training=True)[0]


def flattened(x):
    """(batch, features), in at least float32."""
    features = math.prod(x.shape[1:]) if None not in x.shape[1:] else -1
    return at_least_float32(K.reshape(x, (K.shape(x)[0], features)))


def reversed_gradient(x):
    """x in value, minus 1 in gradient."""
    return 2 * K.stop_gradient(x) - x
