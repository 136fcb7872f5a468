"""Augmentations of a batch of pixels: pure functions of the images and of given random numbers, so runs repeat."""

import math

import tensorflow as tf

NOISE = 8  # random numbers an image gets, uniform in [-1, 1); an augmentation uses the first so many


def _none(images, noise):
    return images


def _affine(images, noise, degrees=10.0, zoom=0.1, shift=0.1):
    """Rotates, zooms and shifts each image a little about its centre; no flips, for digits have a way up.

    Args:
        images: (batch, height, width, channels) float32.
        noise: (batch, NOISE).
        degrees: largest angle either way.
        zoom: largest change of scale either way, for width and height by themselves.
        shift: largest move either way, as a share of the size.

    Returns:
        The images, bilinear, zero beyond their edges.
    """
    height, width = images.shape[1:3]
    angle, wider, higher, right, down = tf.unstack(noise[:, :5], axis=1)
    angle = angle * (degrees * math.pi / 180)
    a, b = tf.cos(angle) / (1 + zoom * wider), -tf.sin(angle) / (1 + zoom * higher)
    d, e = tf.sin(angle) / (1 + zoom * wider), tf.cos(angle) / (1 + zoom * higher)
    x, y = (width - 1) / 2, (height - 1) / 2
    c = x - a * x - b * y + right * shift * width
    f = y - d * x - e * y + down * shift * height
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, c, d, e, f, tf.zeros_like(a), tf.zeros_like(a)], axis=1),
        output_shape=(height, width),
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


AUGMENTATIONS = {"none": _none, "affine": _affine}
