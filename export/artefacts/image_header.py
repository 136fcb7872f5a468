"""What an encoded image's header says, read inside the served graph before anything is decoded.

Decoding allocates what a header asks for: a file of a few bytes can claim gigabytes, and an animation multiplies them.
"""

import tensorflow as tf

LIMIT = 4096  # pixels a side
_MOST_BLOCKS = 1 << 14  # of a GIF file: 4 MiB, more than a second to walk through
_READ = 32  # bytes of a header
_PNG, _JPEG, _GIF, _BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM"


def checked(data, index):
    """An encoded image, if it is a still one of a format and size that are served.

    Args:
        data: scalar string, the file's bytes.
        index: scalar integer, which image of the batch it is; for the message.

    Returns:
        `data`. Running the graph raises InvalidArgumentError where the file is no PNG, JPEG, GIF or BMP, is animated,
        or is larger than `LIMIT` x `LIMIT` pixels.
    """
    beginning = tf.strings.join([tf.strings.substr(data, 0, _READ), b"\0" * _READ])
    header = tf.cast(tf.io.decode_raw(beginning, tf.uint8), tf.int64)
    kinds = [tf.equal(tf.strings.substr(beginning, 0, len(magic)), magic) for magic in (_PNG, _JPEG, _GIF, _BMP)]
    readers = [
        lambda: (_number(header[16:20][::-1]), _number(header[20:24][::-1]), _png_frames(data)),
        lambda: (*_jpeg_size(data), tf.constant(1, tf.int64)),
        lambda: _gif(data, header),
        lambda: (_signed(_number(header[18:22])), _signed(_number(header[22:26])), tf.constant(1, tf.int64)),
    ]
    known = tf.reduce_any(tf.stack(kinds))
    image = tf.strings.join(["image ", tf.strings.as_string(index), " of the batch "])
    with tf.control_dependencies([_require(known, [image, "is no PNG, JPEG, GIF or BMP file."])]):
        kind = tf.argmax(tf.cast(tf.stack(kinds), tf.int32), output_type=tf.int32)
    width, height, frames = tf.switch_case(kind, readers)
    size = [tf.strings.as_string(width), "x", tf.strings.as_string(height), " pixels"]
    fits = (width >= 1) & (height >= 1) & (width <= LIMIT) & (height <= LIMIT)
    conditions = [
        _require(frames <= 1, [image, "is animated, or a GIF of more than 4 MiB: send a still image."]),
        _require(fits, [image, "is ", *size, f" by its header; from 1x1 to {LIMIT}x{LIMIT} are served."]),
    ]
    with tf.control_dependencies(conditions):
        return tf.identity(data)


def is_gif_or_bmp(data):
    """Whether an encoded image is one of these."""
    return tf.reduce_any([tf.equal(tf.strings.substr(data, 0, len(magic)), magic) for magic in (_GIF, _BMP)])


def _require(condition, message):
    return tf.debugging.Assert(condition, [tf.strings.join(message)])


def _number(parts):
    """Bytes, lowest first -> a number."""
    return tf.reduce_sum(parts * 256 ** tf.range(tf.size(parts, tf.int64)))


def _signed(number):
    """|n| of a 32-bit n: a BMP's height is negative where its rows begin at the top."""
    return tf.where(number < 1 << 31, number, (1 << 32) - number)


def _jpeg_size(data):
    shape = tf.cast(tf.image.extract_jpeg_shape(data), tf.int64)  # reads the header alone
    return shape[1], shape[0]


def _png_frames(data):
    """2 of an animated PNG, which says so in a chunk before its first pixels, else 1."""
    before = tf.strings.split(data, "IDAT")[0]
    return tf.size(tf.strings.split(before, "acTL"), tf.int64)


def _gif(data, header):
    """Width, height and frames (2 stands for more) of a GIF: walks its blocks, which the decoder would all unpack.

    A file is header, colour table, then blocks: extension (0x21) or frame (0x2C), each a head and sub-blocks that begin
    with their length, up to a length of 0; then 0x3B. Frames have sizes of their own.
    """
    content = tf.io.decode_raw(tf.strings.join([data, b"\x3b" + b"\0" * 16]), tf.uint8)
    end = tf.size(content, tf.int64) - 17

    def at(position):
        return tf.cast(content[position], tf.int64)

    def table(flags):
        return tf.where(flags >= 128, 3 * 2 ** (flags % 8 + 1), 0)

    def more(position, inside, width, height, frames, steps):
        return (position < end) & (frames < 2) & (steps < _MOST_BLOCKS) & (inside | (at(position) != 0x3B))

    def step(position, inside, width, height, frames, steps):
        length = at(position)  # of a sub-block, or what kind of block begins
        frame = ~inside & (length == 0x2C)
        head = tf.where(frame, 11 + table(at(tf.minimum(position + 9, end))), 2)
        own = content[position : position + 9]
        sizes = tf.cast(tf.concat([own, tf.zeros(9, tf.uint8)], 0), tf.int64)
        return (
            tf.minimum(position + tf.where(inside, length + 1, head), end),
            tf.where(inside, length > 0, True),
            tf.where(frame, tf.maximum(width, _number(sizes[5:7])), width),
            tf.where(frame, tf.maximum(height, _number(sizes[7:9])), height),
            frames + tf.cast(frame, tf.int64),
            steps + 1,
        )

    first = tf.minimum(13 + table(header[10]), end)
    none = tf.constant(0, tf.int64)
    start = (first, tf.constant(False), _number(header[6:8]), _number(header[8:10]), none, none)
    _, _, width, height, frames, steps = tf.while_loop(more, step, start, parallel_iterations=1)
    return width, height, tf.where(steps < _MOST_BLOCKS, frames, 2)
