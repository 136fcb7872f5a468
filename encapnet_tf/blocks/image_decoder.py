"""Decoders that reconstruct an image from one class capsule, with the other capsules set to 0."""

import math

import keras

_DENSE_WIDTHS = (512, 1024)
_CONV_FILTERS = (64, 128, 128)
_CHANNELS_LAST = {"data_format": "channels_last"}


def image_decoder(kind: str, image_shape: tuple[int, int, int], dtype=None) -> keras.Sequential:
    """Build a decoder that reconstructs images from masked class capsules.

    It maps (batch, capsules * capsule_dim) to (batch, height, width, channels).

    Args:
        kind: "dense" or "conv".
        image_shape: (height, width, channels).
        dtype: dtype policy of its layers.

    Returns:
        A `keras.Sequential` whose outputs are from 0 to 1.
    """
    return keras.Sequential(DECODERS[kind](image_shape, {"dtype": dtype}), name="decoder")


def _dense_layers(image_shape, options):
    """Return the layers of the reconstruction decoder of Sabour et al. (2017), which has three dense layers."""
    hidden = [
        keras.layers.Dense(width, activation="relu", name=f"dense{i}", **options)
        for i, width in enumerate(_DENSE_WIDTHS, start=1)
    ]
    pixels = keras.layers.Dense(math.prod(image_shape), activation="sigmoid", name="dense3", **options)
    return [*hidden, pixels, keras.layers.Reshape(image_shape, name="images", **options)]


def _conv_layers(image_shape, options):
    """Return the layers of the convolutional decoder of Efficient-CapsNet (2021), for images of any size.

    A dense layer makes a small map, which is three times enlarged twice and convolved without padding; a last
    convolution makes the channels. From a side of s pixels come 8 s - 16; the middle is cut out where that is too
    large. Images of 48x48 need no cut.
    """
    height, width, channels = image_shape
    small = [max(3, math.ceil((side + 16) / 8)) for side in (height, width)]
    stack = [
        keras.layers.Dense(math.prod(small), name="dense", **options),
        keras.layers.Reshape((*small, 1), name="map", **options),
    ]
    for i, filters in enumerate(_CONV_FILTERS, start=1):
        stack += [
            keras.layers.UpSampling2D(interpolation="bilinear", name=f"enlarge{i}", **_CHANNELS_LAST, **options),
            keras.layers.Conv2D(filters, 3, name=f"conv{i}", **_CHANNELS_LAST, **options),
            keras.layers.LeakyReLU(negative_slope=0.2, name=f"conv{i}_relu", **options),
        ]
    stack.append(keras.layers.Conv2D(channels, 3, activation="sigmoid", name="conv4", **_CHANNELS_LAST, **options))
    surplus = [8 * size - 16 - side for size, side in zip(small, (height, width), strict=True)]
    if any(surplus):
        cut = [(extra // 2, extra - extra // 2) for extra in surplus]
        stack.append(keras.layers.Cropping2D(cut, name="images", **_CHANNELS_LAST, **options))
    return stack


DECODERS = {"dense": _dense_layers, "conv": _conv_layers}
