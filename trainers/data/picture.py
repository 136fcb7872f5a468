"""Conversion of images with any number of channels to greyscale or colour images for display."""

import numpy as np


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """Convert an image to three channels for display.

    Of an image with other than three channels the first one is shown, such as the left image of a stereo pair.

    Args:
        pixels: (height, width, channels).

    Returns:
        (height, width, 3).
    """
    return pixels if pixels.shape[-1] == 3 else np.repeat(pixels[..., :1], 3, axis=-1)
