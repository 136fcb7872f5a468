"""Residual block of two 3x3 convolutions, as in ResNets for small images."""

import keras

from encapnet_tf.arguments import one_of
from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.layers import GroupedConv2D
from encapnet_tf.models.stem_and_head import conv_norm_relu

SHORTCUTS = ("conv", "pad")


def residual_block(x, channels, strides, name, *, shortcut="conv", synchronized=False, **conv_options):
    """Apply a residual block of two convolutions to a feature map.

    Args:
        x: symbolic feature map.
        channels: output channels.
        strides: step of the first convolution in both directions.
        name: the block's name, which the names of its layers begin with; that of its output.
        shortcut: shortcut connection where the number of channels changes; the identity otherwise. "conv": a 1x1
            convolution and batch normalisation. "pad": channels of zeros on both sides, equally many.
        synchronized: whether batch statistics are taken over all replicas.
        **conv_options: arguments of `GroupedConv2D`.
    """
    one_of("shortcut", shortcut, SHORTCUTS)
    options = {"synchronized": synchronized, **conv_options}
    y = conv_norm_relu(x, channels, strides, f"{name}_conv1", **options)
    y = _conv_norm(y, channels, 3, 1, f"{name}_conv2", **options)
    if strides != 1:
        # A separate layer subsamples, since oneDNN's bfloat16 gradient of a strided 1x1 convolution crashes.
        x = keras.layers.AveragePooling2D(1, strides, data_format="channels_last", name=f"{name}_subsample")(x)
    if x.shape[-1] != channels:
        if shortcut == "conv":
            x = _conv_norm(x, channels, 1, 1, f"{name}_shortcut", **options)
        else:
            x = _pad_channels(x, channels, f"{name}_shortcut")
    return keras.layers.ReLU(name=name)(keras.layers.Add(name=f"{name}_add")([y, x]))


def _conv_norm(x, channels, kernel_size, strides, name, *, synchronized, **conv_options):
    """Apply a convolution and batch normalisation to a feature map."""
    x = GroupedConv2D(channels, kernel_size, strides, name=name, **conv_options)(x)
    return BatchNorm(synchronized=synchronized, name=f"{name}_norm")(x)


def _pad_channels(x, channels, name):
    """Zero-pad the channel axis of a feature map at both ends.

    Half of the added channels come before the existing ones, half behind them.
    """
    added = channels - x.shape[-1]
    padding = ((0, 0), (added // 2, added - added // 2))
    x = keras.layers.Permute((1, 3, 2), name=f"{name}_channels_first")(x)  # Keras pads heights and widths only
    x = keras.layers.ZeroPadding2D(padding, data_format="channels_last", name=f"{name}_pad")(x)
    return keras.layers.Permute((1, 3, 2), name=name)(x)
