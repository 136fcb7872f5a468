"""A saved model and the data to evaluate it on: what does not fit is reported, with advice that helps."""

import keras
import pytest
from encapnet_tf.trainers.config.presets import preset_weights
from encapnet_tf.trainers.evaluation.model_and_data import model_and_data
from encapnet_tf.trainers.runs.errors import UserError


def _saved(path, *shape):
    layers = keras.layers
    pool = [layers.GlobalAveragePooling2D()] if len(shape) == 3 else []
    keras.Sequential([keras.Input(shape), *pool, layers.Dense(10)]).save(path)


def test_a_folder_that_the_data_set_does_not_read_is_refused(tmp_path):
    (tmp_path / "model.keras").touch()
    with pytest.raises(UserError, match=r"digits is not read from there.* mean --dataset=folder --data_dir=photos"):
        model_and_data(tmp_path / "model.keras", "digits", {"data_dir": "photos"})


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((64,), r"no classifier of images .* its inputs are \[\(None, 64\)\]"),
        ((8, 8, 3), r"the data has \(8, 8, 1\)\. Choose data with the model's number of channels"),
        ((None, None, 3), "Choose data with the model's number of channels"),
        ((16, 16, 1), "Say --image_size=16"),
        ((16, 12, 1), "--image_size makes square images only"),
        ((None, 12, 1), "--image_size makes square images only"),
    ],
)
def test_a_model_of_other_images_is_refused(tmp_path, shape, message):
    _saved(tmp_path / "model.keras", *shape)
    with pytest.raises(UserError, match=message):
        model_and_data(tmp_path / "model.keras", "digits", {})


def test_a_model_of_free_size_fits(tmp_path):
    _saved(tmp_path / "model.keras", None, None, 1)
    _, dataset = model_and_data(tmp_path / "model.keras", "digits", {})
    assert dataset.image_shape == (8, 8, 1)


def test_the_advised_size_fits(tmp_path):
    _saved(tmp_path / "model.keras", 16, 16, 1)
    _, dataset = model_and_data(tmp_path / "model.keras", "digits", {"image_size": 16})
    assert dataset.image_shape == (16, 16, 1)


def test_a_preset_has_the_data_of_its_name():
    model, dataset = model_and_data(preset_weights("digits"), None, {})
    assert dataset.name == "digits"
    images, labels = dataset.test.images, dataset.test.labels
    assert (model.predict(images, verbose=0).argmax(axis=1) != labels).sum() == 1, "as its model card says"


def test_a_mistyped_run_is_refused():
    with pytest.raises(UserError, match="There is no model at runs/digts/1: expected a finished run's folder"):
        model_and_data("runs/digts/1", None, {})
