"""TensorFlow function that computes the frame sizes of a GIF file without decoding the frames."""

import tensorflow as tf

from .image_formats import integer

MAX_BLOCKS = 1 << 14  # blocks and runs of full blocks; as many take about a second to scan
_RUN = 64  # sub-blocks that are skipped in one step
_FULL = 255  # bytes of a full sub-block


def gif_sizes(data):
    """Return the maximum width, maximum height and total pixel count of all frames of a GIF file.

    The loop scans the file's blocks and decodes no frame. A file is header, colour table, then blocks: extension (0x21)
    or frame (0x2C), each a head and sub-blocks that begin with their length, up to a length of 0; then 0x3B. Frames
    have own sizes.

    Args:
        data: scalar string, the file's bytes.

    Returns:
        Scalars int64: width and height in pixels that hold the screen and every frame; the number of pixels of all
        frames together; and boolean, whether the scan came to the file's end.
    """
    content = tf.io.decode_raw(tf.strings.join([data, b"\x3b" + b"\0" * 16]), tf.uint8)
    end = tf.size(content, tf.int64) - 17

    def byte(position):
        return tf.cast(content[position], tf.int64)

    def table_size(flags):
        return tf.where(flags >= 128, 3 * 2 ** (flags % 8 + 1), 0)

    def cond(position, inside, width, height, pixels, steps):
        return (position < end) & (steps < MAX_BLOCKS) & (inside | (byte(position) != 0x3B))

    def body(position, inside, width, height, pixels, steps):
        length = byte(position)  # of a sub-block; between blocks, the type of the next block
        frame = ~inside & (length == 0x2C)
        head = tf.where(frame, 11 + table_size(byte(tf.minimum(position + 9, end))), 2)
        sizes = tf.cast(tf.concat([content[position : position + 9], tf.zeros(9, tf.uint8)], 0), tf.int64)
        frame_width, frame_height = (tf.where(frame, integer(sizes[i : i + 2]), 0) for i in (5, 7))
        lengths = content[position : tf.minimum(position + _RUN * (_FULL + 1), end) : _FULL + 1]
        full = tf.argmin(tf.concat([tf.cast(lengths == _FULL, tf.int32), [0]], 0))  # how many of them, from the first
        step = tf.where(inside, tf.where(full > 0, full * (_FULL + 1), length + 1), head)
        return (
            tf.minimum(position + step, end),
            tf.where(inside, length > 0, True),
            tf.maximum(width, frame_width),
            tf.maximum(height, frame_height),
            pixels + frame_width * frame_height,
            steps + 1,
        )

    header = tf.cast(content[:13], tf.int64)
    first = tf.minimum(13 + table_size(header[10]), end)
    zero = tf.constant(0, tf.int64)
    start = (first, tf.constant(False), integer(header[6:8]), integer(header[8:10]), zero, zero)
    _, _, width, height, pixels, steps = tf.while_loop(cond, body, start, parallel_iterations=1)
    return width, height, pixels, steps < MAX_BLOCKS
