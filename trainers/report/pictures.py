"""Rendering of images, rows of images and heat-map overlays as PNGs for HTML pages."""

import base64
import io

import numpy as np
from PIL import Image

from ..data.picture import as_rgb, shrink

_FRAME_SIDE = 28  # pixels at least, of an image in a row; more than 64 are reduced
_GAP = 2  # pixels between the images of a row
ROW_SCALE = 2  # on the page; a browser enlarges more smoothly, and from smaller files, than a PNG of that size
_MARK = (59, 111, 182)  # colour of the frame around an image of a row
_PANEL_SIDE = 192  # pixels at least, of an image that stands alone
_MOST_PANEL_SIDE = 384
_POSITIVE, _NEGATIVE = np.array((235, 70, 30.0)), np.array((40, 120, 240.0))  # colours of a heat map


def image_png(pixels: np.ndarray) -> str:
    """Encode an image as a base64 PNG.

    Args:
        pixels: (height, width, channels) uint8.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(as_rgb(pixels))).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def panel(pixels: np.ndarray, smooth: bool = False) -> np.ndarray:
    """Scale an image to the size of a stand-alone picture on an HTML page.

    Args:
        pixels: (height, width, channels) uint8.
        smooth: whether pixels are interpolated where the image is enlarged, which makes tiny images recognisable.

    Returns:
        (height, width, 3) uint8.
    """
    pixels = as_rgb(shrink(pixels, _MOST_PANEL_SIDE))
    return _enlarge(pixels, _factor(pixels.shape, _PANEL_SIDE), smooth)


def image_row(images: np.ndarray, marked: int | None = None) -> np.ndarray:
    """Place images side by side in one picture.

    Small images are enlarged and smoothed. A page shows the picture at `ROW_SCALE` times its size.

    Args:
        images: (n, height, width, channels) uint8.
        marked: index of an image that gets a coloured frame, or None.

    Returns:
        (height, width, 3) uint8.
    """
    images = shrink(images)
    factor = _factor(images.shape[1:], _FRAME_SIDE)
    frames = [_enlarge(as_rgb(image), factor, smooth=True) for image in images]
    height, width, _ = frames[0].shape
    row = np.full((height + 2 * _GAP, len(frames) * (width + _GAP) + _GAP, 3), 255, np.uint8)
    for i, frame in enumerate(frames):
        left = _GAP + i * (width + _GAP)
        if i == marked:
            row[:, left - _GAP : left + width + _GAP] = _MARK
        row[_GAP:-_GAP, left : left + width] = frame
    return row


def heat_over_image(pixels: np.ndarray, heat: np.ndarray, largest: float, smooth: bool = False) -> np.ndarray:
    """Draw a heat map over a greyscale copy of an image.

    Positive heat is red, and negative heat is blue.

    Args:
        pixels: (height, width, channels) uint8.
        heat: (height, width), numbers of any size.
        largest: number that is drawn in full colour.
        smooth: whether the heat is interpolated between pixels.

    Returns:
        (height, width, 3) uint8, of the size of `panel(pixels)`.
    """
    base = panel(pixels).astype("float32")
    base = np.repeat(base.mean(axis=-1, keepdims=True), 3, axis=-1) * 0.7 + 30
    method = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    picture = Image.fromarray(heat.astype("float32")).resize(base.shape[1::-1], method)
    values = np.clip(np.asarray(picture) / max(largest, 1e-12), -1, 1)[..., None]
    strength = 0.8 * np.abs(values)
    colour = np.where(values > 0, _POSITIVE, _NEGATIVE)
    return np.round((1 - strength) * base + strength * colour).astype(np.uint8)


def _factor(shape, least: int) -> int:
    """Return the smallest integer scale factor that makes an image's longer side at least a given number of pixels."""
    return -(-least // max(shape[:2]))


def _enlarge(image: np.ndarray, factor: int, smooth: bool) -> np.ndarray:
    """Enlarge an RGB image by an integer factor.

    The shape of the image is (height, width, 3).
    """
    size = (image.shape[1] * factor, image.shape[0] * factor)
    method = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, method))
