"""Pixel coordinates of the receptive-field centres of a feature map."""

import keras
import numpy as np

from encapnet_tf.keras_private import layer_call


def position_centres(tensor) -> tuple[np.ndarray, np.ndarray]:
    """Compute the receptive-field centres of a feature map in pixel coordinates.

    The receptive fields are those along the first input of every layer. A convolution without padding makes the map
    begin away from the edge of the image. A layer of unknown kind that changes the size is taken to scale the map.

    Args:
        tensor: symbolic feature map (batch, height, width, channels) of a functional model of images.

    Returns:
        Arrays (height,) and (width,), which begin at 0 for the first row and column of pixels.
    """
    counts = tensor.shape[1:3]
    first, step = np.zeros(2), np.ones(2)  # position k lies at first + k * step in the current layer's output
    while True:
        layer, arguments, options = layer_call(tensor)
        inputs = [x for x in keras.tree.flatten([arguments, options]) if keras.utils.is_keras_tensor(x)]
        if not inputs or len(inputs[0].shape) != 4:
            break
        layer_first, layer_step = _window(layer, inputs[0].shape[1:3], tensor.shape[1:3])
        first, step = layer_first + layer_step * first, layer_step * step
        tensor = inputs[0]
    return tuple(first[axis] + step[axis] * np.arange(count) for axis, count in enumerate(counts))


def _window(layer, size_in, size_out) -> tuple[np.ndarray, np.ndarray]:
    """Return the centre of a convolution or pooling layer's first window, and the stride of the windows.

    Both are in positions of the layer's input. Other layers are treated like pooling by `size_in / size_out`.
    """
    kernel = getattr(layer, "kernel_size", getattr(layer, "pool_size", None))
    if kernel is None or not hasattr(layer, "strides") or "Transpose" in type(layer).__name__:
        scale = np.divide(size_in, size_out)
        return (scale - 1) / 2, scale
    kernel, step, dilation = (
        np.broadcast_to(np.asarray(sizes)[-2:] if np.ndim(sizes) else sizes, 2)
        for sizes in (kernel, layer.strides, getattr(layer, "dilation_rate", 1))
    )
    kernel = dilation * (kernel - 1) + 1
    if getattr(layer, "padding", "same") == "valid":
        padding = np.zeros(2, int)
    elif type(layer).__module__.startswith("keras."):
        padding = np.maximum((np.asarray(size_out) - 1) * step + kernel - np.asarray(size_in), 0) // 2
    else:  # this library pads symmetrically at every stride
        padding = kernel // 2
    return (kernel - 1) / 2 - padding, step.astype(float)
