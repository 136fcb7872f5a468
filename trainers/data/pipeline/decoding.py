"""TensorFlow functions that decode, crop and resize image files, both in training and inside exported models."""

import functools
import math

import tensorflow as tf


def decode_image(data, channels: int, min_size: tuple[int, int] | None = None):
    """Decode a JPEG, PNG or BMP image, or the first frame of a GIF, to a uint8 tensor.

    Args:
        data: scalar string tensor.
        channels: 1 or 3.
        min_size: (height, width) that the caller needs at least. A larger JPEG file is decoded at 1/2, 1/4 or 1/8 of
            its size, which costs less than resizing it afterwards. None decodes at full size.

    Returns:
        (height, width, channels) uint8.
    """

    def decode_at_full_size():
        return tf.io.decode_image(data, channels=channels, expand_animations=False)

    def decode_reduced_jpeg():
        shape = tf.cast(tf.image.extract_jpeg_shape(data)[:2], tf.float32)
        shrink = tf.reduce_min(shape / tf.constant(min_size, tf.float32))
        # The power of 2 is rounded down, so that the decoded image is never smaller than `min_size`.
        power = tf.cast(tf.math.log(tf.clip_by_value(shrink, 1.0, 8.0)) / math.log(2) + 1e-4, tf.int32)
        return tf.switch_case(power, [lambda r=r: tf.io.decode_jpeg(data, channels, ratio=r) for r in (1, 2, 4, 8)])

    if min_size is None:
        return decode_at_full_size()
    return tf.cond(tf.io.is_jpeg(data), decode_reduced_jpeg, decode_at_full_size)


def crop_and_resize(image, size: tuple[int, int]):
    """Crop the centre of an image to the aspect ratio of a target size, and resize the crop to that size.

    Resizes bilinearly, with antialiasing only where the image shrinks to less than half: antialiasing costs four times
    as much, and down to half size every input pixel contributes without it. Ours rather than
    `keras.layers.Resizing(crop_to_aspect_ratio=True)`, which antialiases always or never.

    Args:
        image: (height, width, channels) uint8; height and width may be unknown until the graph runs.
        size: (height, width).

    Returns:
        (*size, channels) uint8.
    """
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = tf.reduce_min(shape / tf.constant(size, tf.float32))
    crop_size = tf.maximum(tf.cast(tf.round(scale * tf.constant(size, tf.float32)), tf.int32), 1)
    crop_size = tf.minimum(crop_size, tf.shape(image)[:2])
    corner = (tf.shape(image)[:2] - crop_size) // 2
    image = tf.slice(image, tf.concat([corner, [0]], 0), tf.concat([crop_size, [-1]], 0))

    def resize(antialias):
        pixels = tf.image.resize(image, size, antialias=antialias)
        return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)

    shrinks_below_half = tf.reduce_any(crop_size > 2 * tf.constant(size))
    return tf.cond(
        tf.reduce_all(tf.equal(crop_size, size)),
        lambda: tf.reshape(image, (*size, tf.shape(image)[2])),  # of that size already: only the static shape is set
        functools.partial(tf.cond, shrinks_below_half, lambda: resize(True), lambda: resize(False)),
    )
