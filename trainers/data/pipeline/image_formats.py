"""Functions that recognise image formats from the first bytes of a file.

Formats that TensorFlow cannot decode are recognised too.
"""

import tensorflow as tf

# Whether the installed TensorFlow reads WebP files. The graph of an exported model is the same either way: a server
# with an older TensorFlow refuses WebP files and reads all others.
READS_WEBP = hasattr(tf.io, "decode_webp")
READABLE = "JPEG, PNG, BMP, GIF" + (" or WebP" if READS_WEBP else "")

JPEG, PNG, GIF, BMP, RIFF, WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF", b"WEBP"

# Endings of names -> what such files are. TensorFlow has no decoder for them.
UNREADABLE_SUFFIXES = {
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".heic", ".heif"), "HEIC"),
    ".avif": "AVIF",
    ".svg": "SVG",
    ".jp2": "JPEG 2000",
    ".jxl": "JPEG XL",
    ".psd": "Photoshop",
    **({} if READS_WEBP else {".webp": "WebP"}),
}
# What a file is -> (position, bytes there). The first that fits is named.
_UNREADABLE = (
    ("a TIFF file", ((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+"))),
    ("an AVIF file", ((4, b"ftypavif"), (4, b"ftypavis"))),
    ("a HEIC file", tuple((4, b"ftyp" + brand) for brand in (b"hei", b"hev", b"mif1", b"msf1"))),
    ("a JPEG 2000 file", ((4, b"jP  "), (0, b"\xff\x4f\xff\x51"))),
    ("a JPEG XL file", ((4, b"JXL "), (0, b"\xff\x0a"))),
    ("a Photoshop file", ((0, b"8BPS"),)),
    ("an icon file", ((0, b"\0\0\1\0"),)),
    ("a PDF file", ((0, b"%PDF"),)),
    ("a Git LFS pointer, not the image itself", ((0, b"version https://git-lfs"),)),
)
_HEAD_BYTES = 512

STRING = tf.TensorSpec((), tf.string)


def traced_once(*specs):
    """Return a decorator that turns a function into a `tf.function` with the given input signature.

    The function is traced once, and data pipelines and exported models share the graph: tracing takes most of a second
    for all checks, and a training makes several pipelines. The graph is not inlined in those that call it: TensorFlow
    visits the inlined operations of a branch even where the branch is not taken.

    Args:
        *specs: `tf.TensorSpec` of each argument.
    """
    return tf.function(input_signature=specs, autograph=False, experimental_attributes={"_noinline": True})


def is_webp(data):
    """Return whether an encoded image is a WebP file, as a scalar boolean tensor."""
    head = padded_head(data, 12)
    return tf.equal(tf.strings.substr(head, 0, 4), RIFF) & tf.equal(tf.strings.substr(head, 8, 4), WEBP)


def has_magic(data, magic: bytes):
    """Return whether a file begins with the given bytes, as a scalar boolean tensor."""
    return tf.equal(tf.strings.substr(data, 0, len(magic)), magic)


def padded_head(data, size: int):
    """Return the first bytes of a file, padded with zero bytes.

    There are at most `size` bytes of the file, then `size` zero bytes. The padding lets a short file be compared with
    longer signatures.
    """
    return tf.strings.join([tf.strings.substr(data, 0, size), b"\0" * size])


def describe_unreadable(data):
    """Return the type of a file that TensorFlow cannot decode, such as "a TIFF file" or "a web page".

    The result is a scalar string tensor.
    """
    head = padded_head(data, _HEAD_BYTES)
    text = tf.strings.lower(tf.strings.substr(data, 0, _HEAD_BYTES))
    conditions = [
        (name, tf.reduce_any([tf.equal(tf.strings.substr(head, at, len(magic)), magic) for at, magic in places]))
        for name, places in _UNREADABLE
    ]
    conditions += [
        ("an empty file", tf.equal(tf.strings.length(data), 0)),
        ("an SVG file", tf.size(tf.strings.split(text, b"<svg")) > 1),
        ("a web page", tf.size(tf.strings.split(text, b"<html")) > 1),
    ]
    if not READS_WEBP:
        conditions.append(("a WebP file, which this version of TensorFlow does not read", is_webp(data)))
    names = tf.constant([name for name, _ in conditions] + ["no image file"])
    fits = tf.stack([condition for _, condition in conditions] + [tf.constant(True)])
    return tf.gather(names, tf.argmax(tf.cast(fits, tf.int32)))


def integer(little_endian):
    """Convert the bytes of a little-endian number to an unsigned integer.

    `little_endian` is an int64 tensor with one byte per element.
    """
    return tf.reduce_sum(little_endian * 256 ** tf.range(tf.size(little_endian, tf.int64)))
