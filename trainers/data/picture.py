"""Functions that convert images of any size, pixel type and channel count to images for display."""

import numpy as np
from PIL import Image


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """Convert an image to three channels for display.

    Of an image with other than three channels the first one is shown, such as the left image of a stereo pair.

    Args:
        pixels: (height, width, channels).

    Returns:
        (height, width, 3).
    """
    return pixels if pixels.shape[-1] == 3 else np.repeat(pixels[..., :1], 3, axis=-1)


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Convert floating-point pixels in [0, 1] to uint8 pixels in [0, 255]."""
    return np.round(255 * np.clip(images, 0, 1)).astype(np.uint8)


def shrink(images: np.ndarray, most: int = 64) -> np.ndarray:
    """Downscale images by averaging pixels, so that no side is longer than a limit.

    Smaller images are unchanged.

    Args:
        images: (..., height, width, channels) uint8.
        most: the limit, in pixels.
    """
    *others, height, width, channels = images.shape
    if max(height, width) <= most:
        return images
    new_width, new_height = (max(1, round(side * most / max(height, width))) for side in (width, height))
    planes = np.moveaxis(images, -1, -3).reshape(-1, height, width)
    size = (new_width, new_height)
    small = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX)) for plane in planes]
    return np.moveaxis(np.stack(small).reshape(*others, channels, new_height, new_width), -3, -1)
