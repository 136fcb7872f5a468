"""TensorFlow functions that read the EXIF orientation of an image file and turn the image upright.

Cameras store pixels as their sensor reads them and say in EXIF how to turn them; TensorFlow's decoders ignore it. Only
TensorFlow operations are used, because an exported model does the same without Python.
"""

import tensorflow as tf

from .image_formats import STRING, traced_once

_SEARCH_BYTES = 1 << 20  # of a JPEG file; EXIF is in its first segments, each of at most 64 KiB
_JFIF_HEAD, _TABLE = b"\xff\xe0\0\x10", b"\xff\xdb"  # marker and length of the JFIF header; marker of a table
_MAX_SEGMENTS = 64
_SHORT, _LONG = 3, 4  # EXIF's types of integers with 2 and with 4 bytes
_ORIENTATION_TAG = 0x0112
_EXIF = b"Exif\0\0"
_WEBP_FLAGS, _WEBP_HAS_EXIF = 20, 0x08  # position and bit
_ENTRY_BYTES = 12  # of an EXIF entry: tag (2), type (2), count (4), value (4)


def has_no_metadata(data):
    """Return whether a JPEG file has no metadata such as EXIF, as a scalar boolean tensor.

    The JFIF header of fixed size is allowed: the first segment, or the one after that header, is a quantisation table.
    """
    head = tf.strings.substr(data, 2, 20)
    is_jfif = tf.equal(tf.strings.substr(head, 0, len(_JFIF_HEAD)), _JFIF_HEAD)
    return tf.equal(tf.strings.substr(head, tf.where(is_jfif, 18, 0), 2), _TABLE)


@traced_once(STRING)
def jpeg_orientation(data):
    """Return the EXIF orientation of a JPEG file, from 1 (upright) to 8.

    Args:
        data: scalar string, the file's bytes.

    Returns:
        Scalar int32; 1 where there is no EXIF, or damaged EXIF.
    """
    return _tiff_orientation(_exif_segment(tf.strings.substr(data, 0, _SEARCH_BYTES)))


@traced_once(STRING)
def png_orientation(data):
    """Return the EXIF orientation of a PNG file, from 1 (upright) to 8.

    It is in the chunk eXIf. See `jpeg_orientation` for argument and result.
    """
    parts = tf.strings.split(data, b"eXIf")
    return tf.cond(tf.size(parts) > 1, lambda: _tiff_orientation(parts[1]), lambda: tf.constant(1))


@traced_once(STRING)
def webp_orientation(data):
    """Return the EXIF orientation of a WebP file, from 1 (upright) to 8.

    It is in the chunk EXIF, after the pixels. See `jpeg_orientation` for argument and result.
    """
    flags = _bytes(data)[_WEBP_FLAGS]
    has_exif = tf.equal(tf.strings.substr(data, 12, 4), b"VP8X") & (flags // _WEBP_HAS_EXIF % 2 > 0)

    def read():
        chunk = tf.strings.join([tf.strings.split(data, b"EXIF")[-1], b"\0" * 10])  # begins with its size, 4 bytes
        has_prefix = tf.equal(tf.strings.substr(chunk, 4, len(_EXIF)), _EXIF)
        return _tiff_orientation(tf.strings.substr(chunk, tf.where(has_prefix, 4 + len(_EXIF), 4), _SEARCH_BYTES))

    return tf.cond(has_exif, read, lambda: tf.constant(1))


def turn_upright(image, orientation):
    """Rotate and mirror an image according to an EXIF orientation from 1 to 8.

    Args:
        image: (height, width, channels).
        orientation: scalar integer from 1 to 8.

    Returns:
        The image; height and width are exchanged for orientations from 5 to 8.
    """

    def turn():
        turned = tf.cond(swaps_sides(orientation), lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
        upside_down, mirrored = (tf.reduce_any(orientation == values) for values in ((3, 4, 7, 8), (2, 3, 6, 7)))
        return tf.reverse(turned, tf.where([upside_down, mirrored])[:, 0])

    return tf.cond(orientation > 1, turn, lambda: image)


def swaps_sides(orientation):
    """Return whether an EXIF orientation exchanges height and width, as a scalar boolean tensor."""
    return orientation >= 5


@traced_once(STRING)
def _exif_segment(head):
    """Return the EXIF segment of a JPEG file, or an empty string if there is none.

    The loop goes from segment to segment: 0xFF, a marker, and a length of 2 bytes that counts itself. Metadata have the
    markers 0xE0 to 0xEF and 0xFE and come before all other segments.
    """
    content = _bytes(head)
    end = tf.strings.length(head)

    def is_exif(position):
        return (content[position + 1] == 0xE1) & tf.equal(tf.strings.substr(head, position + 4, len(_EXIF)), _EXIF)

    def cond(position, found, steps):
        in_bounds = (position + 4 + len(_EXIF) < end) & (steps < _MAX_SEGMENTS)
        kind = content[position + 1]
        is_metadata = ((kind >= 0xE0) & (kind <= 0xEF)) | (kind >= 0xFE)  # 0xFF fills the space between segments
        return ~found & in_bounds & (content[position] == 0xFF) & is_metadata

    def body(position, found, steps):
        found = is_exif(position)
        length = 256 * content[position + 2] + content[position + 3]
        step = tf.where(content[position + 1] == 0xFF, 1, 2 + tf.maximum(length, 2))
        return tf.where(found, position, tf.minimum(position + step, end)), found, steps + 1

    start = (tf.constant(2), tf.constant(False), tf.constant(0))
    position, found, _ = tf.while_loop(cond, body, start, parallel_iterations=1)
    length = 256 * content[position + 2] + content[position + 3]
    first, size = position + 4 + len(_EXIF), length - 2 - len(_EXIF)
    return tf.cond(found, lambda: tf.strings.substr(head, first, tf.maximum(size, 0)), lambda: tf.constant(b""))


@traced_once(STRING)
def _tiff_orientation(exif):
    """Return the image orientation (1 to 8) stored in EXIF data, or 1 if no valid orientation is stored.

    EXIF data are a TIFF header and tables of entries, of which the first table is read.
    """
    content = _bytes(exif)
    order = tf.strings.substr(tf.strings.join([exif, b"\0" * 4]), 0, 4)
    is_big, is_little = tf.equal(order, b"MM\0*"), tf.equal(order, b"II*\0")

    def integer(data, first, size):
        """Read an unsigned integer from EXIF data in the byte order of that data.

        The integer has `size` bytes, from byte `first` on.
        """
        shifts = tf.range(size, dtype=tf.int64) * 8
        shifts = tf.where(is_big, shifts[::-1], shifts)
        return tf.reduce_sum(tf.bitwise.left_shift(tf.cast(data[..., first : first + size], tf.int64), shifts), -1)

    size = tf.strings.length(exif)
    table = tf.cast(tf.minimum(integer(content, 4, 4), tf.cast(size, tf.int64)), tf.int32)
    count = tf.minimum(tf.cast(integer(content, table, 2), tf.int32), tf.maximum((size - table - 2) // _ENTRY_BYTES, 0))
    entries = tf.reshape(content[table + 2 : table + 2 + count * _ENTRY_BYTES], (-1, _ENTRY_BYTES))
    kind = integer(entries, 2, 2)
    value = tf.where(kind == _LONG, integer(entries, 8, 4), integer(entries, 8, 2))
    is_orientation = (integer(entries, 0, 2) == _ORIENTATION_TAG) & (integer(entries, 4, 4) == 1)
    is_orientation &= (kind == _SHORT) | (kind == _LONG)
    # The last entry counts, as in Pillow; the 1 in front stands for none.
    found = tf.concat([tf.constant([1], tf.int64), tf.boolean_mask(value, is_orientation)], 0)[-1]
    is_valid = (is_big | is_little) & (found >= 1) & (found <= 8)
    return tf.where(is_valid, tf.cast(found, tf.int32), 1)


def _bytes(data):
    """Convert a string tensor to an int32 tensor of byte values, followed by 32 zeros as padding.

    The padding keeps indices that a damaged file contains from reading past the end.
    """
    return tf.cast(tf.io.decode_raw(tf.strings.join([data, b"\0" * 32]), tf.uint8), tf.int32)
