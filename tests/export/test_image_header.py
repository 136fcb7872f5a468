"""What is refused by its header, before a decoder sees it."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.export.artefacts.image_header import LIMIT, checked

from tests.export.image_bytes import animated, claiming, encoded, gif_of_frame

KINDS = ("PNG", "JPEG", "GIF", "BMP")
run = tf.function(checked, input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.int32)], autograph=False)
noise = np.random.default_rng(0).integers(0, 256, (300, 200), np.uint8)


def refused(data):
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
        assert f"image 3 of the batch is {size[0]}x{size[1]} pixels" in refused(claiming(kind, *size))
        assert "4096x4096" in refused(claiming(kind, *size))


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_animations(kind):
    assert "image 3 of the batch is animated" in refused(animated(kind))


def test_a_gif_whose_frame_is_larger_than_its_screen():
    assert run(gif_of_frame(8, 8), 0).numpy()
    assert "60000x8 pixels" in refused(gif_of_frame(60000, 8))


def test_a_gif_of_endless_blocks_is_given_up():
    frame = gif_of_frame(8, 8)
    comment = b"\x21\xfe" + b"\x01x" * 17000 + b"\x00"
    assert "animated" in refused(frame[:13] + comment + frame[13:])


def test_a_bmp_from_the_top_down():
    data = claiming("BMP", 8, -8)
    assert run(data, 0).numpy() == data


@pytest.mark.parametrize("data", [b"", b"no image", b"RIFF\0\0\0\0WEBPVP8 ", b"GIF7", noise.tobytes()])
def test_other_files(data):
    assert "image 3 of the batch is no PNG, JPEG, GIF or BMP file" in refused(data)


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_anywhere(kind):
    """No length of a file makes the reading of its header go wrong in another way than by a message."""
    data = encoded(noise[:8, :8], kind)
    for length in range(0, min(len(data), 60), 3):
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            assert run(data[:length], 0).numpy() == data[:length]
