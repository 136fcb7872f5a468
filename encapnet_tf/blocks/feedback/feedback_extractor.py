"""Small convolutional or dense networks, the feature extractors of Sinkhorn-divergence regularisers.

The regularisers are `FeedbackAgreement` layers.
"""

import math
from functools import partial

import keras

from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D

EXTRACTORS = ("conv", "wide")

# Maps and sequences below this size are not halved: with few features a cosine after ReLU is 0 or 1.
_HALVED_FROM_SIZE = 8
_WIDE_FEATURES = 16


def feedback_extractor(extractor, shape, *, synchronized: bool, dtype):
    """Build the feature extractor of a Sinkhorn-divergence regulariser.

    It is f in section 3.2 of the paper. Each convolution is 3x3 at stride 2 with batch normalisation and ReLU; the
    channels go to a quarter, then to 1. The stride is 1 if a side has fewer than 8 pixels (or tokens). On token
    sequences the convolutions are one-dimensional. Feature vectors pass two dense layers, to a quarter and to a
    sixteenth of their size, but to at least 4.

    The wide extractor has no ReLU at its end, and there as many channels as make 16 features, or as many features as
    the lower layer has if these are fewer. The other extractor's 4 features of an 8x8 map hardly tell two images apart.

    Args:
        extractor: "conv" or "wide".
        shape: shape of the lower layer's output, with the batch axis.
        synchronized: whether batch statistics are taken over all replicas.
        dtype: dtype policy of its layers.

    Returns:
        A `keras.Sequential`.
    """
    channels, sizes = shape[-1], shape[1:-1]
    strides = 2 if sizes and min(sizes) >= _HALVED_FROM_SIZE else 1
    widths = (max(1, channels // 4), 1) if sizes else (max(4, channels // 4), max(4, channels // 16))
    if extractor == "wide":
        positions = math.prod(-(-size // strides**2) for size in sizes)
        last = max(widths[1], -(-min(_WIDE_FEATURES, math.prod(shape[1:])) // positions))
        widths = max(widths[0], last), last
    if len(shape) == 2:
        mappings = [partial(keras.layers.Dense, width) for width in widths]
    else:
        if len(shape) == 3:
            mappings = [partial(keras.layers.Conv1D, width, 3, strides, padding="same") for width in widths]
        else:
            mappings = [partial(GroupedConv2D, width, 3, strides) for width in widths]
    layers = []
    for number, mapping in enumerate(mappings, start=1):  # named as a generator's, for the same reason
        layers += [
            mapping(dtype=dtype, name=f"mapping{number}"),
            BatchNorm(synchronized=synchronized, dtype=dtype, name=f"norm{number}"),
            keras.layers.ReLU(dtype=dtype, name=f"relu{number}"),
        ]
    return keras.Sequential(layers[:-1] if extractor == "wide" else layers, name="extractor")
