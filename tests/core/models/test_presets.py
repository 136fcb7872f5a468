"""Pretrained networks: their files, their accuracy, and the argument `weights` of EncapNet."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.models.presets import preset, preset_names, read_preset
from encapnet_tf.models.presets.writing import write_preset

SAMPLES = Path(__file__).parents[2] / "data" / "presets"
SIZES = {"input_shape": (8, 8, 1), "depths": (0,), "capsule_dims": (2,), "strides": (2,), "num_capsules": 4}
TINY = {**SIZES, "classes": 3, "routing": "master"}


@pytest.mark.parametrize("name", preset_names())
def test_accuracy_on_a_fixed_sample(name):
    """The sample has the first images of the test set, and the accuracy there of the file as it was shipped."""
    sample = np.load(SAMPLES / f"{name}.npz")
    model = en.models.EncapNet(weights=name, include_rescaling=True)
    scores = model.predict(sample["images"].astype("float32"), verbose=0, batch_size=64)
    assert np.mean(scores.argmax(axis=1) == sample["labels"]) == pytest.approx(float(sample["accuracy"]))
    described = read_preset(name)
    assert abs(float(sample["accuracy"]) - described.test_accuracy) < 0.04  # of the whole test set
    assert f"{described.test_accuracy:.2%}" in described.card
    images = sample["images"][:8].astype("float32")
    errors = np.mean((en.reconstruct(model, images) - images / 255) ** 2)
    assert errors < 0.6 * np.mean((images.mean(axis=0) / 255 - images / 255) ** 2)


def test_files_are_small_and_in_float16():
    total = 0
    for name in preset_names():
        folder = read_preset(name).folder
        total += sum(path.stat().st_size for path in folder.iterdir())
        with np.load(folder / preset.WEIGHTS_FILE) as arrays:
            assert {arrays[key].dtype for key in arrays.files} == {np.dtype("float16")}
    assert total <= 5e6


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A preset "tiny" in a folder of its own, and the model that was written."""
    monkeypatch.setattr(preset, "_FOLDER", tmp_path / "presets")
    for function in (preset.preset_names, preset.read_preset):
        monkeypatch.setattr(function, "__defaults__", (tmp_path / "presets",))
    keras.utils.set_random_seed(3)
    model = en.attach_reconstruction(en.models.EncapNet(**TINY))
    write_preset(
        model,
        tmp_path / "presets" / "tiny",
        arguments=TINY,
        decoder="dense",
        reconstruction_weight=0.5,
        class_names=["a", "b", "c"],
        test_accuracy=0.5,
        card="# Tiny",
    )
    return model


def test_weights_are_read_back(tiny):
    model = en.models.EncapNet(weights="tiny", name="other", synchronized=True)
    assert model.name == "other"
    for ours, theirs in zip(model.weights, tiny.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-7)
        assert ours.dtype == "float32"
    assert model.reconstruction.get_config()["weight"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"classes": 10},
            "fixes the architecture: classes=3. Received: classes=10.* give the preset a new class layer",
        ),
        ({"input_shape": (32, 32, 3)}, "fixes the architecture: input_shape"),
        ({"feedback": "half"}, "fixes the architecture: feedback=None"),
        ({"depths": [1]}, "fixes the architecture: depths"),
        ({"weights": "tinny"}, "neither a file nor a preset. Did you mean 'tiny'"),
        ({"weights": "imagenet"}, "Presets: tiny"),
        ({"weights": 3}, "weights must be None, a preset's name or a path"),
    ],
)
def test_what_contradicts_a_preset_is_refused(tiny, arguments, message):
    with pytest.raises(ValueError, match=message):
        en.models.EncapNet(**{"weights": "tiny", **arguments})


def test_arguments_that_agree_are_accepted(tiny):
    assert en.models.EncapNet([8, 8, 1], 3, weights="tiny", depths=[0]).output_shape == (None, 3)


def test_a_damaged_file_is_refused(tiny):
    path = read_preset("tiny").folder / preset.WEIGHTS_FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="weights of the preset 'tiny' are damaged"):
        en.models.EncapNet(weights="tiny")


def test_a_path_goes_before_a_preset_and_must_fit(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = en.models.EncapNet(**TINY)
    trained.save("tiny.keras")
    trained.save_weights("tiny.weights.h5")
    shutil.copy("tiny.keras", "tiny")  # a file of the preset's name, which is no model by its ending
    x = np.ones((1, 8, 8, 1), "float32")
    for path in ("tiny.keras", Path("tiny.weights.h5")):
        np.testing.assert_array_equal(en.models.EncapNet(**TINY, weights=path)(x), trained(x))
    for path, arguments in (("tiny", TINY), ("tiny.keras", {**TINY, "num_capsules": 8})):
        with pytest.raises(ValueError, match="do not fit encapnet"):
            en.models.EncapNet(**arguments, weights=path)
