"""Functions that place images at random positions on a larger black canvas."""

import tensorflow as tf

from ..augmentation.warp import warp

# Largest shift from the centre, as a fraction of the image: of 28 pixels 4 (MultiMNIST) and 6 (affNIST).
_SHIFTS = {"overlap": 4 / 28, "affine": 6 / 28}


def canvas_size(size: tuple[int, int], compose: str) -> tuple[int, int]:
    """Compute the canvas size from the size of the images that are placed on the canvas.

    It is 36x36 pixels for overlapping images of 28x28 pixels, and 40x40 for affine ones.

    Args:
        size: (height, width) of a single image.
        compose: "overlap" or "affine".
    """
    height, width = (side + 2 * max(1, round(side * _SHIFTS[compose])) for side in size)
    return height, width


def place(images, uniforms, canvas: tuple[int, int]):
    """Place each image at a random position on a black canvas.

    Every position at which the whole image is inside the canvas has the same probability.

    Args:
        images: (batch, height, width, channels) float32.
        uniforms: (batch, 2), uniform in [0, 1), for the vertical and the horizontal position.
        canvas: (height, width), at least those of the images.

    Returns:
        (batch, *canvas, channels) float32.
    """
    room = tf.constant([large - small for large, small in zip(canvas, images.shape[1:3], strict=True)], tf.float32)
    top, left = tf.unstack(tf.minimum(tf.floor(uniforms * (room + 1)), room), axis=1)
    zero, one = tf.zeros_like(top), tf.ones_like(top)
    # Whole pixels, so that the bilinear interpolation copies them.
    return warp(images, tf.stack([one, zero, -left, zero, one, -top], axis=1), canvas)
