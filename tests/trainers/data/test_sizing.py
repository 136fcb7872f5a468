"""The recipe `images`: what is chosen for which images, and that given settings are kept."""

import argparse
import json
import re

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.trainers.config import flags
from encapnet_tf.trainers.config.naming import data_name, series_name
from encapnet_tf.trainers.config.recipes import IMAGES_RECIPE, RECIPES, default_recipe, resolve
from encapnet_tf.trainers.data.sizing import fit_to_data
from encapnet_tf.trainers.data.sizing.choice import choose
from encapnet_tf.trainers.data.sizing.headers import ImageHeader
from encapnet_tf.trainers.data.sizing.summary import DataSummary, summarise
from encapnet_tf.trainers.fitting.network import build
from encapnet_tf.trainers.runs.errors import UserError
from PIL import Image

from tests.trainers.data.image_files import write_folder, write_image
from tests.trainers.data.original_files import cifar_files, write_archive


def summary(images=1000, classes=10, sizes=((32, 32),), *, grey=False, has_validation=False):
    headers = tuple(ImageHeader(height, width, grey) for height, width in sizes)
    return DataSummary(images, classes, images // classes, has_validation, headers)


def chosen(described, **given):
    config = resolve(IMAGES_RECIPE, given)
    return choose(described, config, given).settings


@pytest.mark.parametrize(
    ("sizes", "image_size", "strides", "augment"),
    [
        (((8, 8),), 8, (1, 2), "affine"),
        (((28, 28),), 28, (1, 2, 2, 2), "affine"),
        (((64, 64),), 64, (2, 2, 2, 2), "affine"),
        (((20, 30),), None, (1, 2, 2, 2), "affine"),
        (((4, 4),), 32, (1, 2, 2, 2), "affine"),
        (((65, 65),), 64, (2, 2, 2, 2), "++"),
        (((40, 90), (50, 60), (160, 170)), 48, (2, 2, 2, 2), "++"),
        (((2000, 3000), (3000, 2000)), 96, (1, 2, 2, 2), "++"),
        ((), 96, (1, 2, 2, 2), "++"),
    ],
    ids=str,
)
def test_image_size_modules_and_augmentation(sizes, image_size, strides, augment):
    settings = chosen(summary(sizes=sizes))
    assert (settings["image_size"], settings["strides"], settings["augment"]) == (image_size, strides, (augment,))
    assert len(settings["depths"]) == len(settings["capsule_dims"]) == len(strides)


@pytest.mark.parametrize(
    ("images", "classes", "batch_size", "epochs", "fraction"),
    [
        (24, 3, 4, 120, 0.2),  # ten images a class, a fifth of them for the test
        (80, 10, 8, 120, 0.2),
        (1_000, 10, 32, 54, 0.1),
        (60_000, 10, 128, 4, 0.1),
        (1_300_000, 1000, 128, 3, 0.1),
        (300, 100, 8, 62, 0.34),  # one validation image of every class
    ],
)
def test_training_length_follows_the_number_of_images(images, classes, batch_size, epochs, fraction):
    settings = chosen(summary(images, classes))
    names = ("batch_size", "epochs", "validation_fraction")
    assert tuple(settings[name] for name in names) == (batch_size, epochs, fraction)
    assert images * fraction >= classes


@pytest.mark.parametrize("grey", [True, False])
def test_16_bits_are_told(tmp_path, grey):
    """Only the upper 8 bits are read, so that 12 bits in 16 become nearly black, and no error is raised."""
    write_folder(tmp_path / "photos", per_class=10, size=(8, 8))
    config = resolve(IMAGES_RECIPE, {"dataset": "folder", "data_dir": str(tmp_path / "photos")})
    assert "16 bits" not in fit_to_data(config, ())[1]
    pixels = np.full((8, 8) if grey else (8, 8, 3), 4095, "uint16")
    (tmp_path / "photos" / "red" / "deep.png").write_bytes(tf.io.encode_png(pixels.reshape(8, 8, -1)).numpy())
    assert "PNG files of 16 bits, of which the upper 8 bits are read" in fit_to_data(config, ())[1]
    (deep,) = (header for header in summarise(config).headers if header.is_16_bit)
    assert (deep.height, deep.width, deep.is_grey) == (8, 8, grey)


def test_a_validation_split_of_the_data_is_not_split_again():
    assert "validation_fraction" not in chosen(summary(has_validation=True))


def test_large_images_have_small_batches():
    """The memory of a step is bounded: at 512 pixels the first module gets 128."""
    assert chosen(summary(100_000), image_size=512)["batch_size"] == 16
    assert chosen(summary(100_000), image_size=96)["batch_size"] == 128


def test_many_classes_have_more_capsules():
    assert [chosen(summary(5000, n))["num_capsules"] for n in (2, 99, 100)] == [16, 16, 32]


def test_unknown_images_are_not_mirrored():
    choice = choose(summary(), resolve(IMAGES_RECIPE, {}), ())
    assert choice.settings["flip"] == "no"
    assert "flip=no: mirrored letters" in choice.text(summary())
    assert "--augment=+ --flip=yes" in choice.text(summary()), "small images have a base that mirrors nothing"


def test_the_learning_rate_follows_the_batch():
    rates = [chosen(summary(), batch_size=batch)["learning_rate"] for batch in (4, 32, 64, 128)]
    assert rates == [2e-3, pytest.approx(3e-3 * 0.5**0.5, abs=1e-5), 3e-3, 3e-3]


def test_few_epochs_need_no_augmentation():
    assert chosen(summary(1_000_000))["augment"] == chosen(summary(), epochs=3)["augment"] == ("none",)


def test_given_settings_are_kept_and_the_others_follow_them():
    settings = chosen(summary(sizes=((40, 60), (60, 40))), image_size=24, batch_size=8, depths=(2, 2), seed=3)
    assert not {"image_size", "batch_size", "depths", "seed"} & set(settings)
    assert settings["strides"] == (2, 2), "two modules, as given"
    assert settings["learning_rate"] == 2e-3
    assert settings["capsule_dims"] == (2, 4)
    assert "strides" not in chosen(summary(), model="resnet18", loss="crossentropy")


@pytest.mark.parametrize("side", [4, 8, 9, 16, 17, 28, 33, 64, 65, 96, 130, 500])
def test_every_choice_makes_a_network(side):
    described = summary(classes=3, sizes=((side, side + side % 2),))
    config = resolve(IMAGES_RECIPE, choose(described, resolve(IMAGES_RECIPE, {}), ()).settings)
    shape = (config.image_size,) * 2 if config.image_size else described.common_size
    assert build(config, (*shape, 3), 3).output_shape == (None, 3)


def test_a_folder_is_described_by_its_headers(tmp_path):
    write_folder(tmp_path, per_class=10, size=(40, 20))
    write_image(tmp_path / "red" / "larger.jpg", (220, 0, 0), (60, 50))
    broken = tmp_path / "red" / "broken.png"
    broken.write_bytes((tmp_path / "red" / "00.png").read_bytes()[:20])
    Image.new("1", (12_000, 12_000)).save(tmp_path / "blue" / "huge.png")  # 432 MB as pixels of three bytes
    described = summarise(resolve(IMAGES_RECIPE, {"data_dir": str(tmp_path)}))
    assert (described.images, described.classes, described.has_validation) == (26, 3, False)
    assert described.smallest_class == 7
    assert sorted({(header.height, header.width) for header in described.headers}) == [
        (40, 20), (60, 50), (12_000, 12_000)
    ]  # fmt: skip
    assert described.common_size is None
    assert described.short_side == 20
    assert not described.is_grey


def test_splits_of_a_folder_and_grey_images(tmp_path):
    for part, count in (("train", 4), ("val", 2), ("test", 2)):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                Image.new("L", (12, 12)).save(tmp_path / part / name / f"{i}.png")
    described = summarise(resolve(IMAGES_RECIPE, {"data_dir": str(tmp_path)}))
    assert described == DataSummary(8, 2, 4, True, (ImageHeader(12, 12, True),) * 8)


@pytest.mark.parametrize(
    ("folders", "message"),
    [({}, "holds 0 folders"), ({"a": b"x"}, "holds 1 folder;"), ({"a": b"x", "b": b"x"}, "None of 2 images")],
)
def test_a_folder_that_is_no_data_set_is_refused(tmp_path, folders, message):
    for name, content in folders.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(content)
    with pytest.raises(UserError, match=message):
        summarise(resolve(IMAGES_RECIPE, {"data_dir": str(tmp_path)}))


def test_data_sets_in_memory_are_described():
    described = summarise(resolve(IMAGES_RECIPE, {"dataset": "digits"}))
    assert (described.images, described.classes, described.common_size, described.is_grey) == (1437, 10, (8, 8), True)


def test_original_files_are_described(tmp_path):
    write_archive(tmp_path / "downloads" / "cifar-10-python.tar.gz", cifar_files(10))
    described = summarise(resolve(IMAGES_RECIPE, {"dataset": "CIFAR-10", "data_dir": str(tmp_path)}))
    assert described == DataSummary(100, 10, 10, False, (ImageHeader(32, 32, False),))


@pytest.mark.parametrize("validation", [False, True])
def test_arrays_of_ones_own_are_described(tmp_path, validation):
    images, labels = np.zeros((30, 20, 70), np.uint8), np.arange(30) % 3
    arrays = {"x_train": images, "y_train": labels, "x_test": images[:6], "y_test": labels[:6]}
    if validation:
        arrays |= {"x_val": images[:9], "y_val": labels[:9]}
    np.savez(tmp_path / "own.npz", **arrays)
    described = summarise(resolve(IMAGES_RECIPE, {"dataset": "npz", "data_dir": str(tmp_path / "own.npz")}))
    assert described == DataSummary(30, 3, 10, validation, (ImageHeader(20, 70, True),))


def test_data_that_is_nowhere_is_told_as_in_training(tmp_path):
    with pytest.raises(UserError, match=r"CIFAR-10 was not found; .*Download cifar-10-python\.tar\.gz from "):
        summarise(resolve(IMAGES_RECIPE, {"dataset": "cifar10", "data_dir": str(tmp_path)}))


def test_other_recipes_are_not_changed(tmp_path):
    config = resolve("digits", {"dataset": "folder", "data_dir": str(tmp_path / "missing")})
    assert fit_to_data(config, ()) == (config, "")


@pytest.mark.parametrize(
    ("recipe", "datasets"),
    [
        ("digits", (None, "digits", "Digits ")),
        ("fashion_mnist", ("fashion_mnist", "Fashion-MNIST")),
        ("images", ("folder", "npz", "mnist", "kmnist", "cifar10", "CIFAR-100", "svhn", "cifar10:3.0.2", "beans")),
    ],
)
def test_which_recipe_a_data_set_has(recipe, datasets):
    assert recipe in RECIPES
    assert {default_recipe(name) for name in datasets} == {recipe}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"dataset": "folder", "data_dir": "/data/my photos/"}, "my-photos"),
        ({"dataset": "folder", "data_dir": "/data/.."}, "folder"),
        ({"dataset": "npz", "data_dir": "/data/my arrays.npz"}, "my-arrays"),
        ({"dataset": "cifar-10", "data_dir": "/data"}, "cifar10"),
        ({"dataset": "emnist/letters:3.0.0", "data_dir": "/data"}, "emnist-letters-3.0.0"),
    ],
)
def test_runs_are_named_after_the_data(settings, name):
    assert series_name(resolve(IMAGES_RECIPE, settings)) == name
    assert series_name(resolve("digits", settings)) == "digits"
    assert re.sub("[ /:]", "-", data_name(resolve("digits", settings))) == name


def test_data_is_shown_under_one_name():
    """The name of the folder, whatever the recipe; characters that a file's name may not have are replaced later."""
    for recipe in (IMAGES_RECIPE, "digits"):
        assert data_name(resolve(recipe, {"dataset": "folder", "data_dir": "/data/my photos/"})) == "my photos"
        assert data_name(resolve(recipe, {"dataset": "npz", "data_dir": "/data/own.npz"})) == "own"
        assert data_name(resolve(recipe, {"dataset": "emnist/letters", "data_dir": "/data"})) == "emnist/letters"
    assert data_name(resolve("digits", {})) == "digits"


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    flags.add_arguments(parser)
    flags.add_flags(parser, skip=("recipe",))
    return parser.parse_args(arguments)


def test_settings_of_flags_and_file_are_kept(tmp_path):
    write_folder(tmp_path / "images", per_class=5)
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"dataset": "folder", "epochs": 7, "l2": 0.0}))
    args = parsed(f"--config={file}", f"--data_dir={tmp_path / 'images'}", "--batch_size=3")
    config = flags.configuration(args)
    assert flags.given_settings(args) == {"dataset", "data_dir", "epochs", "l2", "batch_size"}
    fitted, text = fit_to_data(config, flags.given_settings(args))
    assert (fitted.recipe, fitted.epochs, fitted.batch_size, fitted.validation_fraction) == ("images", 7, 3, 0.25)
    assert "learning_rate=" in text
    assert "epochs=" not in text
    # A run's own file names every setting, so nothing is chosen again.
    file.write_text(json.dumps({"config": fitted.to_json()}))
    args = parsed(f"--config={file}")
    assert fit_to_data(flags.configuration(args), flags.given_settings(args))[0] == fitted
