"""Wrong requests to a SavedModel raise an error with a message, and the process goes on: Python and C API."""

import io

import numpy as np
import pytest
from encapnet_tf.export.verification.runtimes import through_c_api
from encapnet_tf.export.verification.standalone import saved_model_process
from PIL import ExifTags, Image, ImageOps

from tests.trainers.data.image_bytes import animated, claiming, encoded

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
FLOATS = PIXELS.astype(np.float32)
PNG = encoded(PIXELS[0, ..., 0])
COLOURS = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)


def stored_turned():
    """Return the first image in the eight ways that EXIF's orientation undoes."""
    image, files = Image.fromarray(PIXELS[0, ..., 0]), []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        inverse = {6: 8, 8: 6}.get(orientation, orientation)
        other = Image.Exif()
        other[ExifTags.Base.Orientation] = inverse
        reader = Image.open(io.BytesIO(encoded(np.asarray(image), exif=other)))
        files.append(encoded(np.asarray(ImageOps.exif_transpose(reader)), exif=exif))
    return files


# Case -> signature, images, part of the error's message.
WRONG = {
    "no batch axis": ("serving_default", FLOATS[0], "[8,8,1] is not compatible"),
    "another size": ("serving_default", np.zeros((2, 9, 9, 1), np.float32), "[2,9,9,1] is not compatible"),
    "other channels": ("serving_default", np.zeros((2, 8, 8, 3), np.float32), "[2,8,8,3] is not compatible"),
    "empty batch": ("serving_default", FLOATS[:0], "the batch is empty"),
    "uint8 for float": ("serving_default", PIXELS, "uint8"),
    "float for uint8": ("serve_uint8", FLOATS, "float"),
    "empty batch of uint8": ("serve_uint8", PIXELS[:0], "the batch is empty"),
    "no pixels": ("serve_uint8", np.zeros((2, 0, 8, 1), np.uint8), "images of 1x1 to 4096x4096"),
    "channels of uint8": ("serve_uint8", np.zeros((2, 8, 8, 3), np.uint8), "[2,8,8,3] is not compatible"),
    "empty batch of files": ("serve_bytes", [], "the batch is empty"),
    "corrupt file": ("serve_bytes", [PNG, PNG[:60]], "PNG"),
    "cut off in the header": ("serve_bytes", [PNG[:20]], "image 0 of the batch is 8x0 pixels"),
    "no image": (
        "serve_bytes",
        [PNG, b"nothing"],
        "image 1 of the batch is no image file; expected JPEG, PNG, BMP, GIF",
    ),
    "nothing": ("serve_bytes", [b""], "image 0 of the batch is an empty file"),
    "too large": ("serve_bytes", [claiming("PNG", 60000, 60000)], "60000x60000 pixels by its header"),
    "palette": ("serve_bytes", [encoded(COLOURS, "BMP", palette=True)], "is a BMP with a palette of colours"),
    "another format": ("serve_bytes", [encoded(COLOURS, "TIFF")], "image 0 of the batch is a TIFF file"),
    "floats for files": ("serve_bytes", FLOATS, "string"),
}
RIGHT = {
    "floats": ("serving_default", FLOATS),
    "pixels": ("serve_uint8", PIXELS),
    "larger pixels": ("serve_uint8", PIXELS.repeat(5, axis=1).repeat(4, axis=2)),
    "files": ("serve_bytes", [encoded(image[..., 0]) for image in PIXELS]),
    "other files": ("serve_bytes", [encoded(PIXELS[0].repeat(3, -1), kind) for kind in ("BMP", "PNG", "GIF", "JPEG")]),
    "turned files": ("serve_bytes", stored_turned()),
    "animated": ("serve_bytes", [animated("GIF")]),
    "a large file": ("serve_bytes", [encoded(np.zeros((600, 400, 3), np.uint8), "JPEG")]),
}


def in_this_process(path, requests):
    return list(saved_model_process.answers(str(path), requests))


@pytest.fixture(scope="module", params=[in_this_process, through_c_api], ids=["python", "c_api"])
def answers(exported, request):
    """Return all answers of one process: first to the wrong requests, then to the right ones."""
    requests = {**{name: wrong[:2] for name, wrong in WRONG.items()}, **RIGHT}
    return dict(zip(requests, request.param(exported.path / "saved_model" / "1", list(requests.values())), strict=True))


def test_wrong_requests(answers):
    for name, (*_, message) in WRONG.items():
        assert isinstance(answers[name], str), f"{name} was answered"
        assert message in answers[name], f"{name}: {answers[name]}"


def test_the_process_goes_on_serving(answers):
    for name in RIGHT:
        assert not isinstance(answers[name], str), f"{name}: {answers[name]}"
    for name in ("pixels", "files"):
        np.testing.assert_allclose(answers[name]["lengths"], answers["floats"]["lengths"], atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        answers["turned files"]["lengths"], answers["files"]["lengths"][[0] * 8], atol=1e-6, rtol=0
    )
    assert answers["a large file"]["capsules"].shape == (1, 10, 4)
    assert answers["files"]["label"].dtype == np.int64
    np.testing.assert_allclose(
        answers["other files"]["lengths"][:2], answers["files"]["lengths"][[0, 0]], atol=0.05, rtol=0
    )
