"""Functions that compute feature map sizes after convolutions without "same" padding."""

from itertools import count

import keras

from encapnet_tf.blocks.grouped_conv2d import clone_initializer


def size_after(size: int, convolutions) -> int:
    """Return the height (or width) of a feature map after several convolutions.

    Args:
        size: height or width of the image.
        convolutions: (kernel size, stride) of each convolution without padding; a third number is the zeros on each
            side.

    Returns:
        The size; 0 where the map is smaller than a kernel.
    """
    for kernel, stride, *padding in convolutions:
        size = max(0, (size + 2 * sum(padding) - kernel) // stride + 1)
    return size


def check_image_size(network: str, input_shape, convolutions, least: int = 1) -> tuple[int, int]:
    """Check that images are large enough for several convolutions, and return the output feature map's size.

    The size is (height, width). Raise ValueError if the images are too small.

    Args:
        network: the network's name, for the error.
        input_shape: (height, width, channels) of an image.
        convolutions: argument of `size_after`.
        least: smallest height and width that the last feature map may have.
    """
    if len(input_shape) != 3:
        raise ValueError(f"input_shape must be (height, width, channels). Received: input_shape={input_shape!r}.")
    height, width = (size_after(size, convolutions) for size in input_shape[:2])
    if min(height, width) < least:
        smallest = next(size for size in count(1) if size_after(size, convolutions) >= least)
        raise ValueError(
            f"The kernels of {network} need images of at least {smallest}x{smallest} pixels. "
            f"Received: input_shape={tuple(input_shape)}. Use larger images (image_size)."
        )
    return height, width


def conv_without_padding(x, filters, kernel_size, strides, name, *, kernel_initializer, bias_initializer):
    """Apply a convolution without padding to a feature map.

    Args:
        x: symbolic feature map (batch, height, width, channels).
        filters: output channels.
        kernel_size, strides: side of the kernel, and step in both directions.
        name: the layer's name.
        kernel_initializer, bias_initializer: Keras initializers, of which the layer gets copies of its own.

    Returns:
        (batch, (height - kernel_size) // strides + 1, (width - kernel_size) // strides + 1, filters).
    """
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        kernel_initializer=clone_initializer(kernel_initializer),
        bias_initializer=clone_initializer(bias_initializer),
        data_format="channels_last",
        name=name,
    )(x)
