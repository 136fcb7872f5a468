"""Image files as bytes: valid, animated and with false headers."""

import io
import struct

import numpy as np
from PIL import Image


def encoded(pixels, kind="PNG", palette=False, **options):
    """Encode an image (height, width) or (height, width, 3) uint8, if wanted with a palette."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert("P") if palette else image).save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind):
    """Encode three frames of 8x8."""
    frames = [Image.fromarray(np.full((8, 8), 90 * i, np.uint8)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def claiming(kind, width, height):
    """Return a file of a few bytes whose header claims a size, without pixels."""
    if kind == "PNG":
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5s", 13, b"IHDR", width, height, b"\x08\0\0\0\0")
    if kind == "GIF":
        return b"GIF89a" + struct.pack("<HH3s", width, height, b"\0\0\0") + b"\x3b"
    if kind == "BMP":
        return b"BM" + b"\0" * 12 + struct.pack("<IiiHHI", 40, width, height, 1, 24, 0) + b"\0" * 20
    if kind == "WEBP":
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return b"RIFF\0\0\0\0WEBPVP8X" + struct.pack("<II", 10, 0) + sides
    small = encoded(np.zeros((8, 8), np.uint8), "JPEG")
    at = small.index(b"\xff\xc0") + 5
    return small[:at] + struct.pack(">HH", height, width) + small[at + 4 :]


def gif_of_frame(width, height):
    """Return a GIF whose screen is 8x8 and whose only frame claims another size."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x01\x44\x00"
    return b"GIF89a" + struct.pack("<HH3s", 8, 8, b"\0\0\0") + frame + b"\x3b"
