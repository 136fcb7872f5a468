"""Small convolutional or dense network, the default feature extractor of Sinkhorn-divergence regularisers.

The regularisers are `FeedbackAgreement` layers.
"""

from functools import partial

import keras

from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D

EXTRACTORS = ("conv",)

# Maps and sequences below this size are not halved: with few features a cosine after ReLU is 0 or 1.
_HALVED_FROM_SIZE = 8


def feedback_extractor(shape, *, synchronized: bool, dtype):
    """Build the default feature extractor of a Sinkhorn-divergence regulariser.

    It is f in section 3.2 of the paper. Each convolution is 3x3 at stride 2 with batch normalisation and ReLU; the
    channels go to a quarter, then to 1. The stride is 1 if a side has fewer than 8 pixels (or tokens). On token
    sequences the convolutions are one-dimensional. Feature vectors pass two dense layers, to a quarter and to a
    sixteenth of their size, but to at least 4.

    Args:
        shape: shape of the lower layer's output, with the batch axis.
        synchronized: whether batch statistics are taken over all replicas.
        dtype: dtype policy of its layers.

    Returns:
        A `keras.Sequential`.
    """
    channels = shape[-1]
    if len(shape) == 2:
        mappings = [partial(keras.layers.Dense, max(4, channels // factor)) for factor in (4, 16)]
    else:
        strides = 1 if min(shape[1:-1]) < _HALVED_FROM_SIZE else 2
        widths = (max(1, channels // 4), 1)
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
    return keras.Sequential(layers, name="extractor")
