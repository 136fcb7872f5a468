"""Images that are refused by their header, before a decoder reads them."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.export.artefacts.image_header import LIMIT, require_still_image

from tests.trainers.data.image_bytes import animated, claiming, encoded, gif_of_frame

KINDS = ("PNG", "JPEG", "GIF", "BMP")
SIGNATURE = [tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int32)]
run = tf.function(require_still_image, input_signature=SIGNATURE, autograph=False)
noise = np.random.default_rng(0).integers(0, 256, (300, 200), np.uint8)


def error_of(data):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        run(data, 3)
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pixels", [noise, noise[:1, :1], np.stack([noise] * 3, -1)], ids=["gray", "one", "colour"])
def test_still_images_pass(kind, pixels):
    data = encoded(pixels, kind)
    assert run(data, 0).numpy() == data


@pytest.mark.parametrize("kind", KINDS)
def test_the_limit_itself_passes_and_no_more(kind):
    data = claiming(kind, LIMIT, LIMIT)
    assert run(data, 0).numpy() == data
    for size in ((LIMIT + 1, 8), (8, LIMIT + 1)):
        assert f"image 3 of the batch is {size[0]}x{size[1]} pixels" in error_of(claiming(kind, *size))
        assert "4096x4096" in error_of(claiming(kind, *size))


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_animations(kind):
    assert "image 3 of the batch is animated" in error_of(animated(kind))


def test_a_gif_whose_frame_is_larger_than_its_screen():
    assert run(gif_of_frame(8, 8), 0).numpy()
    assert "60000x8 pixels" in error_of(gif_of_frame(60000, 8))


def test_a_gif_of_too_many_blocks_is_refused():
    frame = gif_of_frame(8, 8)
    comment = b"\x21\xfe" + b"\x01x" * 17000 + b"\x00"
    assert "animated" in error_of(frame[:13] + comment + frame[13:])


def test_a_bmp_from_the_top_down():
    data = claiming("BMP", 8, -8)
    assert run(data, 0).numpy() == data


@pytest.mark.parametrize("data", [b"", b"no image", b"RIFF\0\0\0\0WEBPVP8 ", b"GIF7", noise.tobytes()])
def test_other_files(data):
    assert "image 3 of the batch is no PNG, JPEG, GIF or BMP file" in error_of(data)


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_anywhere(kind):
    """No length of a file makes the reading of its header go wrong in another way than by a message."""
    data = encoded(noise[:8, :8], kind)
    for length in range(0, min(len(data), 60), 3):
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            assert run(data[:length], 0).numpy() == data[:length]
