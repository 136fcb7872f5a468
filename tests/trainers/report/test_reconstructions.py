"""Reconstructions of test images: those that are chosen, their file, and the section of the report."""

import base64
import dataclasses
import io

import numpy as np
import pytest
from encapnet_tf.trainers.data.augmentation.views import Views
from encapnet_tf.trainers.data.picture import as_bytes, shrink
from encapnet_tf.trainers.data.sources.digits import load_digits
from encapnet_tf.trainers.evaluation.predictions import Predictions
from encapnet_tf.trainers.evaluation.reconstructions import Reconstructions, _one_of_each_class
from encapnet_tf.trainers.report.component_rows import component_rows
from encapnet_tf.trainers.report.page import render_page
from encapnet_tf.trainers.report.pictures import heat_over_image, image_row, panel
from encapnet_tf.trainers.report.reconstruction_section import reconstruction_section
from encapnet_tf.trainers.report.run_record import RunRecord
from encapnet_tf.trainers.runs.errors import UserError
from PIL import Image

import encapnet_tf as en

TINY = {"depths": (0,), "capsule_dims": (4,), "strides": (2,), "num_capsules": 4, "routing": "master"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Path of an untrained network for the digits, with a decoder."""
    path = tmp_path_factory.mktemp("model") / "model.keras"
    en.attach_reconstruction(en.models.EncapNet((8, 8, 1), 10, **TINY, include_rescaling=True)).save(path)
    return path


@pytest.fixture(scope="module")
def digits():
    return load_digits().test


@pytest.fixture(scope="module")
def predictions(digits):
    """Predictions in which every image is taken for the next class, but for the second of each class."""
    predicted = (digits.labels + 1) % 10
    for label in range(10):
        second = np.flatnonzero(digits.labels == label)[1]
        predicted[second] = label
    lengths = np.eye(10, dtype="float32")[predicted]
    return Predictions(lengths, digits.labels, np.array([], int), digits.images[:0])


@pytest.fixture(scope="module")
def reconstructions(model, digits, predictions):
    return Reconstructions.of(model, digits, Views((8, 8)), predictions)


def test_they_are_the_decoders(reconstructions, model, digits, predictions):
    index = reconstructions.index
    assert digits.labels[index].tolist() == list(range(10))
    assert (predictions.predicted[index] == digits.labels[index]).all(), "an image that is classified correctly"
    np.testing.assert_array_equal(reconstructions.images, digits.images[index])
    network, images = en.load_model(model), digits.images[index].astype("float32")
    expected = en.reconstruct(network, images, labels=digits.labels[index])
    np.testing.assert_array_equal(reconstructions.reconstructions, as_bytes(expected))
    np.testing.assert_allclose(reconstructions.errors, np.mean((images / 255 - expected) ** 2, (1, 2, 3)), rtol=1e-4)
    rows = en.reconstruct(network, images[:4], 1, labels=digits.labels[index][:4])
    assert np.abs(reconstructions.grids[:, 1].astype(int) - as_bytes(rows)).max() <= 1


def test_they_are_saved(reconstructions, tmp_path):
    reconstructions.save(tmp_path / "reconstructions.npz")
    loaded = Reconstructions.load(tmp_path / "reconstructions.npz")
    for field in dataclasses.fields(reconstructions):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(reconstructions, field.name))
    (tmp_path / "damaged.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"damaged\.npz cannot be read"):
        Reconstructions.load(tmp_path / "damaged.npz")


def test_a_network_without_a_decoder_has_none(digits, predictions, tmp_path):
    en.models.EncapNet((8, 8, 1), 10, **TINY).save(tmp_path / "model.keras")
    assert Reconstructions.of(tmp_path / "model.keras", digits, Views((8, 8)), predictions) is None


def test_images_of_many_classes_and_of_two_labels():
    labels = np.repeat(np.arange(100), 3)
    lengths = np.eye(100)[labels]
    lengths[::3] = np.roll(lengths[::3], 1, axis=1)  # the first image of each class is classified wrongly
    index = _one_of_each_class(Predictions(lengths, labels, labels[:0], labels[:0]))
    assert index.tolist() == [1 + 3 * label for label in (0, 11, 22, 33, 44, 55, 66, 77, 88, 99)]
    pairs = np.stack([labels, (labels + 1) % 100], axis=1)
    assert len(_one_of_each_class(Predictions(lengths, pairs, labels[:0], labels[:0]))) == 10


def test_the_section(reconstructions, predictions):
    record = RunRecord({}, [], {"class_names": [f"class {i}" for i in range(10)]}, predictions)
    assert reconstruction_section(record) is None
    section = reconstruction_section(dataclasses.replace(record, reconstructions=reconstructions))
    assert [picture.caption.split(",")[0] for picture in section.pictures] == [f"class {i}" for i in range(10)]
    assert [part.title for part in section.parts] == [f"Components of the capsule of class {i}" for i in range(4)]
    assert all(len(part.pictures) == 4 for part in section.parts), "a row for each component"
    page = render_page("title", [section])
    assert page.count("<h3>") == 4
    assert page.count("<img") == 10 + 16


def decode(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.png))))


def test_rows_are_sorted_by_what_they_change():
    grid = np.full((3, 3, 8, 8, 1), 100, np.uint8)
    grid[1, 0] += 20
    grid[2, 2] += 50
    rows = component_rows(grid, (-0.1, 0.0, 0.1))
    captions = ["component 2, change 0.098", "component 1, change 0.039", "component 0, change 0.000"]
    assert [row.caption for row in rows] == captions
    pixels = decode(rows[0])
    height, width, _ = pixels.shape
    assert height == 32 + 2 * 2
    assert width == 3 * (32 + 2) + 2
    assert rows[0].width == 2 * width
    assert [int(pixels[height // 2, 2 + 16 + 34 * i, 0]) for i in range(3)] == [100, 100, 150]
    assert pixels[height // 2, 35].tolist() == [59, 111, 182], "the unmoved image has a frame"


def test_large_images_are_reduced_by_averaging():
    images = np.zeros((2, 128, 96, 3), np.uint8)
    images[1, ::2] = 100
    small = shrink(images)
    assert small.shape == (2, 64, 48, 3)
    assert set(small[1].ravel()) == {50}
    assert shrink(images[0, :64, :64]).shape == (64, 64, 3)
    assert image_row(images).shape == (64 + 4, 2 * (48 + 2) + 2, 3)
    assert panel(np.zeros((1000, 500, 3), np.uint8)).shape == (384, 192, 3)


def test_heat_is_red_and_blue_on_grey():
    pixels = np.full((8, 8, 1), 128, np.uint8)
    heat = np.zeros((8, 8))
    heat[0, 0], heat[0, 7], heat[7, 0] = 1, -1, 0.01
    picture = heat_over_image(pixels, heat, largest=1.0).astype(int)
    assert picture.shape == panel(pixels).shape == (192, 192, 3)
    assert picture[0, 0, 0] > 2 * picture[0, 0, 2]
    assert picture[0, -1, 2] > 2 * picture[0, -1, 0]
    assert np.ptp(picture[100, 100]) == 0
    assert np.ptp(picture[-1, 0]) < 5
