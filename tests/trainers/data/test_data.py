"""Loading of data sets: splits, sizes and settings, and errors that name the image or the label at fault."""

import gzip

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.data import loading
from encapnet_tf.trainers.data.pipeline.batches import evaluation_batches
from encapnet_tf.trainers.data.pipeline.dataset import SourceDataset, stratified_split
from encapnet_tf.trainers.data.pipeline.encoded import EncodedSplit
from encapnet_tf.trainers.data.pipeline.split import Split, checked_split
from encapnet_tf.trainers.data.sources import mnist
from encapnet_tf.trainers.runs.errors import UserError

from tests.trainers.data.idx_files import idx_bytes, write_fashion_mnist


def test_digits_are_split_once_and_for_all():
    first, second = (data.load(resolve("digits", {"seed": seed})) for seed in (0, 1))
    assert (len(first.train), len(first.validation), len(first.test)) == (1293, 144, 360)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(first, part).images, getattr(second, part).images)
    assert first.test.images.max() == 255
    counts = np.bincount(first.test.labels)
    assert counts.min() >= 35  # stratified: 36 each, but for rounding
    assert counts.max() <= 37


def test_digits_test_images_are_in_no_other_split():
    """The digits hold no exact duplicates, so images tell the splits apart."""
    dataset = data.load(resolve("digits", {}))
    seen = [image.tobytes() for part in (dataset.train, dataset.validation, dataset.test) for image in part.images]
    assert len(seen) == len(set(seen)) == 1797


def test_stratified_keeps_every_image():
    split = Split(np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1), np.arange(50) % 5)
    rest, aside = stratified_split(split, 0.2)
    assert sorted([*rest.images.ravel(), *aside.images.ravel()]) == list(range(50))
    assert np.bincount(aside.labels).tolist() == [2] * 5


def test_too_small_a_share_says_so():
    split = Split(np.zeros((50, 1, 1, 1), np.uint8), np.arange(50) % 5)
    with pytest.raises(UserError, match="Cannot set aside"):
        stratified_split(split, 0.02)


@pytest.mark.parametrize("compressed", [True, False])
def test_fashion_mnist_from_files(tmp_path, compressed):
    write_fashion_mnist(tmp_path, train=100, test=20, compressed=compressed)
    dataset = data.load(resolve("fashion_mnist", {"data_dir": str(tmp_path)}))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (90, 10, 20)
    assert dataset.image_shape == (28, 28, 1)
    assert dataset.class_names[9] == "Ankle boot"
    bright = dataset.test.images[:, ::2].mean(axis=(2, 3)).argmax(axis=1)  # images still go with their labels
    np.testing.assert_array_equal(bright, dataset.test.labels)


def test_fashion_mnist_says_what_is_missing(tmp_path):
    write_fashion_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\[.gz\] is not in .*--data_dir"):
        data.load(resolve("fashion_mnist", {"data_dir": str(tmp_path)}))


def test_fashion_mnist_label_out_of_range(tmp_path):
    write_fashion_mnist(tmp_path, train=80)
    labels = np.arange(80) % 10
    labels[7] = 10
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    with pytest.raises(UserError, match=r"from 0 to 9\. Found 10 at image 7"):
        data.load(resolve("fashion_mnist", {"data_dir": str(tmp_path)}))


@pytest.mark.skipif(not mnist.DEBIAN_FASHION_MNIST.is_dir(), reason="package dataset-fashion-mnist not installed")
def test_fashion_mnist_is_found_by_itself():
    dataset = data.load(resolve("fashion_mnist", {}))
    assert len(dataset.train) + len(dataset.validation) == 60_000
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10


def test_mnist_from_idx_files_is_not_mirrored(tmp_path):
    write_fashion_mnist(tmp_path, train=100, test=20)
    dataset = data.load(resolve("mnist", {"data_dir": str(tmp_path)}))
    assert (len(dataset.test), dataset.views.mirrors) == (20, False)
    assert dataset.class_names == tuple("0123456789")


def test_image_size_resizes_what_the_network_sees(tmp_path):
    write_fashion_mnist(tmp_path, train=100)
    small, large = (
        data.load(resolve("fashion_mnist", {"data_dir": str(tmp_path), "image_size": size})) for size in (14, 32)
    )
    assert (small.image_shape, small.train.shape) == ((14, 14, 1), (14, 14, 1))  # shrunk once, in memory
    assert (large.image_shape, large.train.shape) == ((32, 32, 1), (28, 28, 1))  # enlarged in the pipeline
    ((images, _),) = evaluation_batches(large.test, 20, large.views.test)
    assert images.shape == (20, 32, 32, 1)


# Ratios above and below 2, of which only the first antialiases; square and wide images.
@pytest.mark.parametrize(("shape", "size"), [((20, 20), 9), ((32, 20), 9), ((32, 20), 14), ((20, 20), 18)])
def test_pixels_are_cropped_and_resized_as_files_are(monkeypatch, shape, size):
    """So a served model gets from a file the input that it was trained on."""
    images = np.random.default_rng(0).integers(0, 256, (20, *shape, 3), np.uint8)
    split = checked_split("mine", images, np.arange(20) % 2, classes=2)
    monkeypatch.setitem(loading.LOADERS, "mine", lambda config, size: SourceDataset(("a", "b"), split, split))
    files = tf.constant([tf.io.encode_png(image).numpy() for image in images])
    as_files = EncodedSplit(lambda i: files[i], np.arange(20), split.labels, (size, size), 3, str).decode()
    dataset = data.load(resolve("digits", {"dataset": "mine", "image_size": size, "validation_fraction": 0.2}))
    np.testing.assert_array_equal(dataset.test.images, as_files.images)


def test_another_aspect_ratio_is_cropped_even_where_nothing_shrinks(monkeypatch):
    split = checked_split("mine", np.zeros((20, 12, 8)), np.arange(20) % 2, classes=2)
    monkeypatch.setitem(loading.LOADERS, "mine", lambda config, size: SourceDataset(("a", "b"), split, split))
    resized, unchanged = (
        data.load(resolve("digits", {"dataset": "mine", "image_size": size, "validation_fraction": 0.2}))
        for size in (16, None)
    )
    assert resized.test.shape == (16, 16, 1)
    assert unchanged.test.shape == (12, 8, 1)


@pytest.mark.parametrize(("flip", "mirrors"), [("auto", False), ("yes", True), ("no", False)])
def test_flip_overrides_the_data_set(flip, mirrors):
    assert data.load(resolve("digits", {"flip": flip})).views.mirrors is mirrors


def test_classes_file_is_for_folders():
    with pytest.raises(UserError, match="Received --dataset=digits"):
        data.load(resolve("digits", {"classes_file": "ids.txt"}))


GOOD = np.zeros((4, 2, 2))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.where(np.arange(4)[:, None, None] == 2, np.nan, GOOD), [0, 1, 0, 1], r"image 2 has a pixel that is not"),
        (GOOD - np.arange(4)[:, None, None], [0, 1, 0, 1], r"image 1 has a pixel outside 0 to 255 \(3 such"),
        (GOOD + 256, [0, 1, 0, 1], "outside 0 to 255"),
        (GOOD, [0, 1, 0, 2], "Found 2 at image 3"),
        (GOOD, [0, -1, 0, 1], "Found -1 at image 1"),
        (GOOD, [0, 1.5, 0, 1], "Found 1.5 at image 1"),
        (GOOD, [0, 1, 0], "4 images need as many labels"),
        (GOOD[:0], [], "expected images of shape"),
        (GOOD[0], [0, 1], "expected images of shape"),
    ],
)
def test_bad_data_is_named(images, labels, message):
    with pytest.raises(UserError, match=message):
        checked_split("mine", images, np.array(labels), classes=2)


def test_a_limit_takes_a_fixed_subset_in_proportion():
    whole, few, other = (
        data.load(resolve("digits", c)) for c in ({}, {"train_limit": 300}, {"train_limit": 300, "seed": 5})
    )
    assert len(few.train) + len(few.validation) == 300
    assert len(few.test) == len(whole.test)
    np.testing.assert_array_equal(few.train.images, other.train.images)
    counts = np.bincount(np.concatenate([few.train.labels, few.validation.labels]), minlength=10)
    assert counts.min() >= 28
    assert counts.max() <= 32
    assert len(data.load(resolve("digits", {"train_limit": 10**6})).train) == len(whole.train)
