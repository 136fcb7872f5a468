"""Images that are refused by their header, before a decoder reads them, and kinds of files that are refused by name."""

import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.trainers.data.pipeline.gif_header import MAX_BLOCKS
from encapnet_tf.trainers.data.pipeline.image_formats import READS_WEBP
from encapnet_tf.trainers.data.pipeline.image_header import (
    GIF_LIMIT,
    JPEG_LIMIT,
    LIMIT,
    require_jpeg_limits,
    require_readable,
)
from PIL import Image

from tests.trainers.data.image_bytes import animated, claiming, encoded, gif_of_frame

KINDS = ("PNG", "JPEG", "GIF", "BMP", *(["WEBP"] if READS_WEBP else []))
noise = np.random.default_rng(0).integers(0, 256, (300, 200), np.uint8)
colours = np.stack([noise, noise.T.reshape(300, 200), 255 - noise], -1)


@tf.function(input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
def run(data):
    prefix = tf.constant("image 3 of the batch ")
    return tf.cond(
        tf.io.is_jpeg(data),
        lambda: require_jpeg_limits(data, tf.image.extract_jpeg_shape(data), prefix),
        lambda: require_readable(data, prefix),
    )


def error_of(data):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        run(data)
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pixels", [noise, noise[:1, :1], colours], ids=["gray", "one", "colour"])
def test_still_images_pass(kind, pixels):
    data = encoded(pixels, kind)
    assert run(data).numpy() == data


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_the_limit_itself_passes_and_no_more(kind):
    if kind == "WEBP" and not READS_WEBP:
        pytest.skip("This TensorFlow does not read WebP.")
    limit = JPEG_LIMIT if kind == "JPEG" else LIMIT
    side = int(limit**0.5)
    data = claiming(kind, side, side)
    assert run(data).numpy() == data
    for size in ((side + 1, side), (side, side + 1), (65535, 65535) if kind == "GIF" else (16383, 16383)):
        assert f"image 3 of the batch is {size[0]}x{size[1]} pixels" in error_of(claiming(kind, *size))
        assert f"at most {limit:,} pixels" in error_of(claiming(kind, *size))


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_of_animations_the_first_frame_is_read(kind):
    data = animated(kind)
    assert run(data).numpy() == data


def test_a_gif_whose_frame_is_larger_than_its_screen():
    assert run(gif_of_frame(8, 8)).numpy()
    assert "60000x300 pixels" in error_of(gif_of_frame(60000, 300))


def test_the_frames_of_a_gif_are_limited_together():
    one = gif_of_frame(4096, 4096)
    frame = one[13:-1]
    assert run(one[:13] + frame * (GIF_LIMIT // LIMIT) + b"\x3b").numpy()
    assert "is an animation of 83886080 pixels" in error_of(one[:13] + frame * (GIF_LIMIT // LIMIT + 1) + b"\x3b")


def test_a_gif_of_too_many_blocks_is_refused():
    frame = gif_of_frame(8, 8)
    for length, blocks in ((1, MAX_BLOCKS + 100), (255, 10)):
        comment = b"\x21\xfe" + (bytes([length]) + b"x" * length) * blocks + b"\x00"
        data = frame[:13] + comment + frame[13:]
        if length == 255:  # full blocks are read many at once
            assert run(data).numpy() == data
        else:
            assert "too many blocks" in error_of(data)


def test_a_bmp_from_the_top_down():
    data = claiming("BMP", 8, -8)
    assert run(data).numpy() == data


@pytest.mark.parametrize("mode", ["P", "1"])
def test_a_bmp_with_a_palette_is_refused(mode):
    buffer = io.BytesIO()
    Image.fromarray(colours).convert(mode).save(buffer, "BMP")
    assert "is a BMP with a palette of colours, which TensorFlow does not apply" in error_of(buffer.getvalue())


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "an empty file"),
        (b"no image", "no image file"),
        (b"GIF7", "no image file"),
        (b"RIFF\0\0\0\0WAVEfmt ", "no image file"),
        (encoded(colours, "TIFF"), "a TIFF file"),
        (b"MM\0*\0\0\0\x08", "a TIFF file"),
        (b"\0\0\0\x18ftypheic", "a HEIC file"),
        (b"\0\0\0\x18ftypmif1", "a HEIC file"),
        (b"\0\0\0\x1cftypavif", "an AVIF file"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<svg width="8">', "an SVG file"),
        (b"<!DOCTYPE html>\n<html>", "a web page"),
        (encoded(colours, "ICO"), "an icon file"),
    ],
)
def test_other_files_are_refused_by_name(data, name):
    assert f"image 3 of the batch is {name}; expected JPEG, PNG, BMP, GIF" in error_of(data)


def test_an_animated_webp_is_refused():
    if not READS_WEBP:
        pytest.skip("This TensorFlow does not read WebP.")
    assert "is an animated WebP" in error_of(animated("WEBP"))


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_anywhere(kind):
    """No length of a file makes the reading of its header go wrong in another way than by a message."""
    data = encoded(noise[:8, :8], kind)
    for length in range(0, min(len(data), 60), 3):
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            assert run(data[:length]).numpy() == data[:length]
