"""Grouped 2-D convolution and grouped transposed 2-D convolution with one group per capsule."""

from encapnet_tf.arguments import whole_number, whole_pair
from encapnet_tf.ops.convolution.choice import convolve, convolve_transposed
from encapnet_tf.ops.convolution.lowerings import insert_zeros
from encapnet_tf.ops.precision import floating_together


def grouped_conv2d(x, kernel, groups: int, strides: int = 1, training: bool = False):
    """Apply a grouped 2-D convolution with one channel group per capsule.

    It is the mapping of a capConv layer (Eq. 6 of the paper). It pads symmetrically, `kernel // 2` zeros on each side
    at every stride, as the paper's release does. (TensorFlow's "SAME" pads unevenly at stride 2.) Every backend takes
    the kernel in this one layout.

    Args:
        x: (batch, height, width, in_channels).
        kernel: (kernel_height, kernel_width, in_channels / groups, out_channels), both sizes odd.
        groups: number of groups (capsules); 1 is an ordinary dense convolution.
        strides: step in both directions.
        training: whether a gradient will be taken; changes speed and memory, never values.

    Returns:
        (batch, ceil(height / strides), ceil(width / strides), out_channels), in the common dtype of `x` and
        `kernel`.

    Raises:
        ValueError: `groups` does not divide the channels, the kernel does not fit them, or a kernel size is even.

    Example:

    >>> import numpy as np
    >>> y = grouped_conv2d(np.ones((1, 6, 4, 8), "float32"), np.ones((3, 3, 2, 16), "float32"), groups=4, strides=2)
    >>> tuple(y.shape)
    (1, 3, 2, 16)
    """
    x, kernel = floating_together(x, kernel)
    groups, strides = whole_number("groups", groups), whole_number("strides", strides)
    _check(x.shape, kernel.shape, groups)
    return convolve(x, kernel, groups, strides, training)


def grouped_conv2d_transpose(x, kernel, groups: int, output_size, training: bool = False):
    """Apply a grouped transposed 3x3 convolution that keeps or doubles the size of a feature map.

    The generator of a feedback agreement unit uses it (section 3.2 of the paper). It equals the convolution of a map in
    which a zero follows each row (and column) where the size doubles. The kernel is that convolution's. (PyTorch's
    `ConvTranspose2d` flips its kernel; `interop` converts it.)

    Args:
        x: (batch, height, width, in_channels), height and width known.
        kernel: (3, 3, in_channels / groups, out_channels).
        groups: number of groups (capsules); 1 is dense.
        output_size: (height, width) of the output; each is the input's, twice that, or twice that less 1.
        training: whether a gradient will be taken; changes speed and memory, never values.

    Returns:
        (batch, *output_size, out_channels), in the common dtype of `x` and `kernel`.

    Raises:
        ValueError: a size is none of these, the kernel is not 3x3, or as `grouped_conv2d`.

    Example:

    >>> import numpy as np
    >>> kernel = np.ones((3, 3, 2, 8), "float32")
    >>> tuple(grouped_conv2d_transpose(np.ones((1, 4, 4, 8), "float32"), kernel, 4, output_size=(8, 7)).shape)
    (1, 8, 7, 8)
    """
    x, kernel = floating_together(x, kernel)
    groups, output_size = whole_number("groups", groups), whole_pair("output_size", output_size)
    _check(x.shape, kernel.shape, groups)
    size = tuple(x.shape[1:3])
    if None in size:
        raise ValueError(f"The height and width of x must be known. Received: x of shape {tuple(x.shape)}.")
    fits = all(m in (n, 2 * n, 2 * n - 1) for n, m in zip(size, output_size, strict=True))
    if tuple(kernel.shape[:2]) != (3, 3) or not fits:
        raise ValueError(
            "grouped_conv2d_transpose expects a 3x3 kernel, and an output of the input's size, twice that, or twice "
            f"that less 1. Received: kernel {tuple(kernel.shape)}, input size {size}, output_size={output_size}."
        )
    doubles = [m > n for n, m in zip(size, output_size, strict=True)]
    if all(doubles):
        return convolve_transposed(x, kernel, groups, output_size, training)
    for axis in (1, 2):
        x = insert_zeros(x, axis, output_size[axis - 1]) if doubles[axis - 1] else x
    return convolve(x, kernel, groups, 1, training)


def _check(x_shape, kernel_shape, groups):
    """Raise ValueError if the kernel shape or the number of groups does not fit the input shape."""
    if len(x_shape) != 4 or len(kernel_shape) != 4:
        raise ValueError(
            "grouped_conv2d expects x of shape (batch, height, width, channels) and a kernel of shape "
            f"(kernel_height, kernel_width, channels / groups, filters). Received: {x_shape} and {kernel_shape}."
        )
    if x_shape[-1] is None or 0 in (*x_shape, *kernel_shape):
        raise ValueError(
            "grouped_conv2d expects known channels, and no empty axis or batch. Received: x of shape "
            f"{tuple(x_shape)} and a kernel of shape {tuple(kernel_shape)}."
        )
    if x_shape[-1] % groups or kernel_shape[-1] % groups:
        raise ValueError(
            f"groups must divide the channels of input and output. "
            f"Received: groups={groups}, {x_shape[-1]} input channels, {kernel_shape[-1]} output channels."
        )
    if kernel_shape[2] != x_shape[-1] // groups:
        raise ValueError(
            f"kernel.shape[2] must be input channels / groups = {x_shape[-1]} / {groups}. "
            f"Received: a kernel of shape {tuple(kernel_shape)}."
        )
    if not (kernel_shape[0] % 2 and kernel_shape[1] % 2):
        raise ValueError(f"Symmetric padding needs odd kernel sizes. Received: {tuple(kernel_shape[:2])}.")
