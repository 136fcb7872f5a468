"""TensorFlow functions that decode, crop and resize image files, both in training and inside exported models."""

import functools
import math

import tensorflow as tf

from . import image_formats as formats
from .image_header import is_in_jpeg_limits, require_jpeg_limits, require_readable
from .orientation import (
    has_no_metadata,
    jpeg_orientation,
    png_orientation,
    swaps_sides,
    turn_upright,
    webp_orientation,
)


def decode_image(data, channels: int, min_size: tuple[int, int] | None = None, prefix=""):
    """Decode an image file to a uint8 tensor, and apply the EXIF orientation.

    The formats are JPEG, PNG, BMP, GIF (the first frame of an animation) and, where TensorFlow reads it, WebP. EXIF is
    read in JPEG, PNG and WebP files.

    Args:
        data: scalar string tensor.
        channels: 1 or 3.
        min_size: (height, width) that the caller needs at least. A larger JPEG file is decoded at 1/2, 1/4 or 1/8 of
            its size, which costs less than resizing it afterwards. None decodes at full size.
        prefix: scalar string, beginning of the message about a file that is refused; see `image_header`.

    Returns:
        (height, width, channels) uint8. Running the graph raises InvalidArgumentError where the file is damaged, too
        large by its header, or of a kind that is not read.
    """
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: _decode_jpeg(data, channels, min_size, prefix),
        lambda: turn_upright(*_decode_other(data, channels, prefix)),
    )
    return tf.ensure_shape(image, (None, None, channels))


def _decode_jpeg(data, channels, min_size, prefix):
    """Decode a JPEG file, at a reduced resolution if the image is at least twice as large as `min_size`.

    The resolution is 1/2, 1/4 or 1/8, so that the image keeps at least the size `min_size`. The EXIF orientation is
    applied. Most images are JPEG files without EXIF. They take a path of few operations, because each costs
    microseconds, and the decoding of a small image not many of them.
    """
    shape = tf.image.extract_jpeg_shape(data)

    def decode_and_turn():
        checked = require_jpeg_limits(data, shape, prefix)
        orientation = jpeg_orientation(checked)
        needed = min_size and tf.where(swaps_sides(orientation), min_size[::-1], min_size)
        branches = _reduced_decoders(checked, channels, needed)
        image = tf.switch_case(_reduction(shape, needed), branches) if min_size else branches[0]()
        return turn_upright(image, orientation)

    branches = _reduced_decoders(data, channels, min_size)
    is_plain = has_no_metadata(data) & is_in_jpeg_limits(shape)
    branch = tf.where(is_plain, _reduction(shape, min_size), len(branches))
    return tf.switch_case(branch, [*branches, decode_and_turn])


def _reduced_decoders(data, channels, min_size) -> list:
    if min_size is None:
        return [lambda: tf.io.decode_image(data, channels, expand_animations=False)]
    return [lambda r=r: tf.io.decode_jpeg(data, channels, ratio=r) for r in (1, 2, 4, 8)]


def _reduction(shape, min_size):
    """Return how many times a JPEG image can be halved in size without going below a minimum size.

    The number is at most 3, and is rounded down, so that the decoded image is never smaller than `min_size`.
    """
    if min_size is None:
        return tf.constant(0)
    shrink = tf.reduce_min(tf.cast(shape[:2], tf.float32) / tf.cast(min_size, tf.float32))
    return tf.cast(tf.math.log(tf.clip_by_value(shrink, 1.0, 8.0)) / math.log(2) + 1e-4, tf.int32)


def decode_stored_pixels(data, channels: int, prefix=""):
    """Decode an image file without rotating the image, and return the pixels and the EXIF orientation.

    The EXIF orientation is not applied, and the image has full size. Bounding boxes, for one, refer to pixels as they
    are stored. See `decode_image` for arguments and errors.

    Returns:
        (height, width, channels) uint8, and scalar int32; see `turn_upright`.
    """

    def decode_jpeg():
        checked = require_jpeg_limits(data, tf.image.extract_jpeg_shape(data), prefix)
        return tf.io.decode_jpeg(checked, channels), jpeg_orientation(checked)

    image, orientation = tf.cond(tf.io.is_jpeg(data), decode_jpeg, lambda: _decode_other(data, channels, prefix))
    return tf.ensure_shape(image, (None, None, channels)), orientation


def _decode_other(data, channels, prefix):
    data = require_readable(data, prefix)

    def decode_png():
        return tf.io.decode_image(data, channels, expand_animations=False), png_orientation(data)

    def decode_in_colour():  # TensorFlow decodes the other formats in colour only
        image = tf.io.decode_image(data, 3, expand_animations=False)
        orientation = tf.cond(formats.is_webp(data), lambda: webp_orientation(data), lambda: tf.constant(1))
        return image if channels == 3 else tf.image.rgb_to_grayscale(image), orientation

    return tf.cond(formats.has_magic(data, formats.PNG), decode_png, decode_in_colour)


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


def decode_to_size(data, channels: int, size: tuple[int, int], prefix="it "):
    """Decode an image file, and crop and resize the image to a target size."""
    return crop_and_resize(decode_image(data, channels, size, prefix), size)


def map_to_images(function, elements, shape: tuple[int, int, int]):
    """Map a function over the elements of a batch in parallel, and stack the returned uint8 images."""
    signature = tf.TensorSpec(shape, tf.uint8)
    return tf.map_fn(function, elements, fn_output_signature=signature, parallel_iterations=16)


@functools.lru_cache(maxsize=16)
def batch_decoder(channels: int, size: tuple[int, int]):
    """Return a `tf.function` that decodes a batch of image files, and crops and resizes all images to one size.

    The function is the same object for the same arguments, because TensorFlow needs most of a second to optimise a
    graph.

    Returns:
        Function of files (batch,), strings. Returns (batch, *size, channels) uint8.
    """

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)], autograph=False)
    def decode_files(files):
        return map_to_images(lambda data: decode_to_size(data, channels, size), files, (*size, channels))

    return decode_files
