"""Raw images of a model that was trained on composed examples: single images are placed, all others resized."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.export.artefacts.preprocessing import Preprocessing
from encapnet_tf.export.local_predictor import load_predictor
from encapnet_tf.trainers.data.augmentation.views import Views

SINGLE, CANVAS = (7, 8), (9, 11)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_single_image_is_placed_upright_and_others_are_resized(channels):
    preprocessing = Preprocessing(CANVAS, channels, Views(CANVAS), SINGLE)
    plain = Preprocessing(CANVAS, channels, Views(CANVAS))
    rng = np.random.default_rng(0)
    for size in (SINGLE, CANVAS, (8, 7), (90, 110)):
        pixels = rng.integers(1, 256, (1, *size, channels), np.uint8)
        images = preprocessing.of_pixels(pixels).numpy()
        expected = plain.of_pixels(pixels).numpy()
        if size == SINGLE:
            expected = np.zeros((1, *CANVAS, channels))
            expected[:, 1:8, 1:9] = pixels
        np.testing.assert_array_equal(images, expected)
        files = tf.constant([tf.io.encode_png(pixels[0]).numpy()])
        np.testing.assert_array_equal(preprocessing.of_files(files), expected)


def test_a_large_jpeg_file_is_no_single_image():
    """Although it is decoded at a part of its size."""
    preprocessing = Preprocessing(CANVAS, 1, Views(CANVAS), SINGLE)
    file = tf.io.encode_jpeg(np.full((28, 32, 1), 200, np.uint8))
    assert np.min(preprocessing.of_files(file[None])) > 150


@pytest.mark.parametrize("include_rescaling", [True, False])
def test_a_file_of_a_network_that_may_take_other_pixels(tmp_path, capsys, include_rescaling):
    """Nothing in a .keras file says which pixels it takes, if no layer rescales them."""
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs) if include_rescaling else inputs
    keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x))).save(tmp_path / "model.keras")
    load_predictor(tmp_path / "model.keras")
    errors = capsys.readouterr().err
    assert ("model.keras: the network has no layer that rescales pixels" in errors) is not include_rescaling
