"""TensorFlow functions that check the header of an image file before TensorFlow decodes the file.

Decoding allocates what a header claims: a file of a few bytes can claim gigabytes, and an animation multiplies them.
The checks are our own code, because no image library runs inside an exported graph and TensorFlow's decoders have no
limits. Training uses the same checks, so that an exported model reads what its training read.
"""

import tensorflow as tf

from . import image_formats as formats
from .gif_header import gif_sizes

SIDE = 4096  # pixels
LIMIT = SIDE * SIDE  # pixels of an image
JPEG_LIMIT = 4 * LIMIT  # of a JPEG file, which is decoded at a reduced size where it is large
GIF_LIMIT = 4 * LIMIT  # of all frames of a GIF file together; the decoder holds a byte for each
_HEADER_BYTES = 64


def is_in_jpeg_limits(shape):
    """Return whether a JPEG image has few enough pixels to be decoded.

    The shape is (3,) int32: height, width and channels. The result is a scalar boolean tensor.
    """
    pixels = tf.reduce_prod(tf.cast(shape[:2], tf.int64))  # a side has at most 65,535
    return (pixels >= 1) & (pixels <= JPEG_LIMIT)


@formats.traced_once(formats.STRING, tf.TensorSpec((3,), tf.int32), formats.STRING)
def require_jpeg_limits(data, shape, prefix):
    """Check that an encoded JPEG image does not have too many pixels to decode, and return it.

    Args:
        data: scalar string, the file's bytes.
        shape: (3,) int32, from `tf.image.extract_jpeg_shape`.
        prefix: scalar string, beginning of the error message.
    """
    return _require(is_in_jpeg_limits(shape), data, _size_message(shape[1], shape[0], JPEG_LIMIT, prefix))


@formats.traced_once(formats.STRING, formats.STRING)
def require_readable(data, prefix):
    """Check that an encoded image is not too large and can be decoded by TensorFlow, and return the image.

    Args:
        data: scalar string, the file's bytes; no JPEG file.
        prefix: scalar string, beginning of the error message, such as "image 3 of the batch ".

    Returns:
        `data`. Running the graph raises InvalidArgumentError where the file is no PNG, GIF, BMP or WebP, is larger than
        `LIMIT` pixels, has a palette of colours and is a BMP, or is an animated WebP.
    """
    header = tf.cast(tf.io.decode_raw(formats.padded_head(data, _HEADER_BYTES), tf.uint8), tf.int64)
    kinds = [formats.has_magic(data, magic) for magic in (formats.PNG, formats.GIF, formats.BMP)]
    kinds.append(formats.is_webp(data) if formats.READS_WEBP else tf.constant(False))
    checks = [
        lambda: _checked_png(data, header, prefix),
        lambda: _checked_gif(data, prefix),
        lambda: _checked_bmp(data, header, prefix),
        lambda: _checked_webp(data, header, prefix),
        lambda: _failure([prefix, "is ", formats.describe_unreadable(data), f"; expected {formats.READABLE}."]),
    ]
    kind = tf.argmax(tf.cast(tf.stack([*kinds, tf.constant(True)]), tf.int32), output_type=tf.int32)
    return tf.switch_case(kind, checks)


def _checked_png(data, header, prefix):
    width, height = formats.integer(header[16:20][::-1]), formats.integer(header[20:24][::-1])
    return _require_size(data, width, height, LIMIT, prefix)


def _checked_gif(data, prefix):
    width, height, pixels, complete = gif_sizes(data)
    data = _require(complete, data, [prefix, "is a GIF of too many blocks. Save its first frame as PNG."])
    message = [prefix, "is an animation of ", tf.strings.as_string(pixels), f" pixels; expected at most {GIF_LIMIT:,}."]
    return _require_size(_require(pixels <= GIF_LIMIT, data, message), width, height, LIMIT, prefix)


def _checked_bmp(data, header, prefix):
    """Check that TensorFlow can decode a BMP file correctly, and return the file's contents.

    Fail if TensorFlow cannot, or if the image is too large.

    TensorFlow returns the numbers of palette colours, which are the pixels only if the palette is all greys in order.
    """
    header_size, bits, compression = (formats.integer(header[i:j]) for i, j in ((14, 18), (28, 30), (30, 34)))
    colours = tf.minimum(formats.integer(header[46:50]), 256)
    colours = tf.where(colours > 0, colours, 256)
    first = tf.minimum(14 + header_size, tf.cast(tf.strings.length(data), tf.int64))
    palette = formats.padded_head(tf.strings.substr(data, first, 1024), 1024)
    palette = tf.reshape(tf.io.decode_raw(tf.strings.substr(palette, 0, 1024), tf.uint8), (256, 4))[:colours, :3]
    is_grey = tf.reduce_all(tf.cast(palette, tf.int32) == tf.range(256)[:colours, None])
    data = _require(
        (bits > 8) | ((bits == 8) & is_grey),
        data,
        [prefix, "is a BMP with a palette of colours, which TensorFlow does not apply. Save it as PNG."],
    )
    plain = (header_size >= 40) & ((compression == 0) | (compression == 3)) & ((bits == 8) | (bits >= 24))
    data = _require(plain, data, [prefix, "is a BMP of a kind that TensorFlow does not read. Save it as PNG."])
    width, height = (_magnitude(formats.integer(header[i : i + 4])) for i in (18, 22))
    return _require_size(data, width, height, LIMIT, prefix)


def _checked_webp(data, header, prefix):
    """Check that a WebP file is not animated and not larger than the pixel limit, and return the file.

    The size is read from the first chunk.
    """
    lossy = (formats.integer(header[26:28]) % (1 << 14), formats.integer(header[28:30]) % (1 << 14))
    bits = formats.integer(header[21:25])
    lossless = (bits % (1 << 14) + 1, bits // (1 << 14) % (1 << 14) + 1)
    extended = (formats.integer(header[24:27]) + 1, formats.integer(header[27:30]) + 1)
    is_lossless, is_extended = (tf.reduce_all(header[12:16] == list(name)) for name in (b"VP8L", b"VP8X"))
    width, height = (tf.where(is_extended, extended[i], tf.where(is_lossless, lossless[i], lossy[i])) for i in range(2))
    is_still = ~(is_extended & (header[20] // 2 % 2 > 0))
    data = _require(is_still, data, [prefix, "is an animated WebP, which is not read. Save one frame."])
    return _require_size(data, width, height, LIMIT, prefix)


def _require_size(data, width, height, limit: int, prefix):
    message = _size_message(width, height, limit, prefix)
    # Divided rather than multiplied, because a header can claim sides whose product is no 64-bit integer.
    return _require((width >= 1) & (height >= 1) & (width <= limit // tf.maximum(height, 1)), data, message)


def _size_message(width, height, limit: int, prefix) -> list:
    size = (tf.strings.as_string(width), "x", tf.strings.as_string(height))
    return [prefix, "is ", *size, f" pixels by its header; expected at most {limit:,} pixels. Reduce its size."]


def _require(condition, data, message: list):
    """Check a condition inside a TensorFlow graph, and raise an error if the condition is false.

    Return `data` unchanged if the condition is true. The strings of the message are joined only on failure.
    """
    return tf.cond(condition, lambda: data, lambda: _failure(message))


def _failure(message: list):
    text = tf.strings.join(message)
    with tf.control_dependencies([tf.debugging.Assert(tf.constant(False), [text])]):
        return tf.identity(text)


def _magnitude(unsigned):
    """Return the absolute values of signed 32-bit integers that were read as unsigned integers.

    A BMP's height is negative if its rows begin at the top.
    """
    return tf.where(unsigned < 1 << 31, unsigned, (1 << 32) - unsigned)
