"""TensorFlow functions that check image file headers before an exported model decodes the images.

Decoding allocates what a header claims: a file of a few bytes can claim gigabytes, and an animation multiplies them.
The checks are our own code, because no image library runs inside an exported graph and TensorFlow's decoders have no
limits.
"""

import tensorflow as tf

LIMIT = 4096  # pixels a side
_MAX_BLOCKS = 1 << 14  # of a GIF file: 4 MiB, which takes more than a second to scan
_HEADER_BYTES = 32
_PNG, _JPEG, _GIF, _BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM"


def require_still_image(data, index):
    """Return an encoded image unchanged, or fail if the image is animated, too large or of an unknown format.

    Args:
        data: scalar string, the file's bytes.
        index: scalar integer, position of the image in the batch, for the message.

    Returns:
        `data`. Running the graph raises InvalidArgumentError where the file is no PNG, JPEG, GIF or BMP, is animated,
        or is larger than `LIMIT` x `LIMIT` pixels.
    """
    prefix = tf.strings.join([tf.strings.substr(data, 0, _HEADER_BYTES), b"\0" * _HEADER_BYTES])
    header = tf.cast(tf.io.decode_raw(prefix, tf.uint8), tf.int64)
    kinds = [tf.equal(tf.strings.substr(prefix, 0, len(magic)), magic) for magic in (_PNG, _JPEG, _GIF, _BMP)]
    readers = [
        lambda: (_integer(header[16:20][::-1]), _integer(header[20:24][::-1]), _png_frames(data)),
        lambda: (*_jpeg_size(data), tf.constant(1, tf.int64)),
        lambda: _gif_size_and_frames(data, header),
        lambda: (_magnitude(_integer(header[18:22])), _magnitude(_integer(header[22:26])), tf.constant(1, tf.int64)),
    ]
    is_known = tf.reduce_any(tf.stack(kinds))
    image = tf.strings.join(["image ", tf.strings.as_string(index), " of the batch "])
    with tf.control_dependencies([_require(is_known, [image, "is no PNG, JPEG, GIF or BMP file."])]):
        kind = tf.argmax(tf.cast(tf.stack(kinds), tf.int32), output_type=tf.int32)
    width, height, frames = tf.switch_case(kind, readers)
    size = [tf.strings.as_string(width), "x", tf.strings.as_string(height), " pixels"]
    is_in_limits = (width >= 1) & (height >= 1) & (width <= LIMIT) & (height <= LIMIT)
    conditions = [
        _require(frames <= 1, [image, "is animated, or a GIF of more than 4 MiB: send a still image."]),
        _require(is_in_limits, [image, "is ", *size, f" by its header; from 1x1 to {LIMIT}x{LIMIT} are served."]),
    ]
    with tf.control_dependencies(conditions):
        return tf.identity(data)


def is_gif_or_bmp(data):
    """Return whether an encoded image is a GIF or BMP file, as a scalar boolean tensor."""
    return tf.reduce_any([tf.equal(tf.strings.substr(data, 0, len(magic)), magic) for magic in (_GIF, _BMP)])


def _require(condition, message):
    return tf.debugging.Assert(condition, [tf.strings.join(message)])


def _integer(little_endian):
    """Return the unsigned integer that little-endian bytes encode."""
    return tf.reduce_sum(little_endian * 256 ** tf.range(tf.size(little_endian, tf.int64)))


def _magnitude(unsigned):
    """Return the absolute value of a signed 32-bit integer, given as an unsigned integer with the same bits.

    A BMP's height is negative if its rows begin at the top.
    """
    return tf.where(unsigned < 1 << 31, unsigned, (1 << 32) - unsigned)


def _jpeg_size(data):
    shape = tf.cast(tf.image.extract_jpeg_shape(data), tf.int64)  # reads the header alone
    return shape[1], shape[0]


def _png_frames(data):
    """Return a number above 1 for an animated PNG image, and 1 for any other PNG image.

    An animated PNG has the chunk acTL before its pixels.
    """
    before = tf.strings.split(data, "IDAT")[0]
    return tf.size(tf.strings.split(before, "acTL"), tf.int64)


def _gif_size_and_frames(data, header):
    """Return the width, height and number of frames of a GIF image, without decoding the pixels.

    A number of 2 means more than one frame.

    The loop scans the file's blocks. A file is header, colour table, then blocks: extension (0x21) or frame (0x2C),
    each a head and sub-blocks that begin with their length, up to a length of 0; then 0x3B. Frames have own sizes.
    """
    content = tf.io.decode_raw(tf.strings.join([data, b"\x3b" + b"\0" * 16]), tf.uint8)
    end = tf.size(content, tf.int64) - 17

    def byte(position):
        return tf.cast(content[position], tf.int64)

    def table_size(flags):
        return tf.where(flags >= 128, 3 * 2 ** (flags % 8 + 1), 0)

    def cond(position, inside, width, height, frames, steps):
        return (position < end) & (frames < 2) & (steps < _MAX_BLOCKS) & (inside | (byte(position) != 0x3B))

    def body(position, inside, width, height, frames, steps):
        length = byte(position)  # of a sub-block; between blocks, the type of the next block
        frame = ~inside & (length == 0x2C)
        head = tf.where(frame, 11 + table_size(byte(tf.minimum(position + 9, end))), 2)
        descriptor = content[position : position + 9]
        sizes = tf.cast(tf.concat([descriptor, tf.zeros(9, tf.uint8)], 0), tf.int64)
        return (
            tf.minimum(position + tf.where(inside, length + 1, head), end),
            tf.where(inside, length > 0, True),
            tf.where(frame, tf.maximum(width, _integer(sizes[5:7])), width),
            tf.where(frame, tf.maximum(height, _integer(sizes[7:9])), height),
            frames + tf.cast(frame, tf.int64),
            steps + 1,
        )

    first = tf.minimum(13 + table_size(header[10]), end)
    zero = tf.constant(0, tf.int64)
    start = (first, tf.constant(False), _integer(header[6:8]), _integer(header[8:10]), zero, zero)
    _, _, width, height, frames, steps = tf.while_loop(cond, body, start, parallel_iterations=1)
    return width, height, tf.where(steps < _MAX_BLOCKS, frames, 2)
