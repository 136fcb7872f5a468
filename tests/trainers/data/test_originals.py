"""Public data sets from the files of their authors, however these lie in the folder that the user names."""

import gzip
import sys

import numpy as np
import pytest
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.runs.errors import UserError

from tests.trainers.data.idx_files import idx_bytes, write_fashion_mnist
from tests.trainers.data.original_files import (
    TRAIN_10,
    cifar_files,
    images_and_labels,
    python_3_pickle,
    write_archive,
    write_folder,
    write_svhn,
)


def _load(dataset, folder):
    given = {"dataset": dataset, "data_dir": str(folder), "validation_fraction": 0.5}
    return data.load(resolve("digits", given))


def _assert_images_match_labels(split):
    labels = split.labels
    np.testing.assert_array_equal(split.images[:, 3, 7], np.stack([labels, 2 * labels, 255 - labels], axis=1))


CIFAR_10, CIFAR_100 = cifar_files(10), cifar_files(100)
_NAME = "cifar-10-batches-py"
# How the files lie in a folder, and what the user gives as --data_dir.
PLACES = [
    (lambda root: write_folder(root / _NAME, CIFAR_10), _NAME),
    (lambda root: write_folder(root / _NAME, CIFAR_10), ""),
    (lambda root: write_folder(root / "data" / _NAME, CIFAR_10), ""),
    (lambda root: write_archive(root / "archive.tgz", CIFAR_10), "archive.tgz"),
    (lambda root: write_archive(root / "cifar-10-python.tar.gz", CIFAR_10), ""),
    (lambda root: write_archive(root / "data" / "cifar-10-python.tar.gz", CIFAR_10), ""),
    (lambda root: write_archive(root / "cifar-10-batches-py.tar.gz", CIFAR_10), ""),  # Keras's
    (lambda root: write_archive(root / "cifar-10-python.tar", CIFAR_10, inside=".", mode="w"), ""),
]


@pytest.mark.parametrize(("write", "given"), PLACES)
def test_cifar10(tmp_path, write, given):
    write(tmp_path)
    dataset = _load("cifar10", tmp_path / given)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (50, 50, 20)
    assert (dataset.class_names[0], dataset.class_names[9], len(dataset.class_names)) == ("airplane", "truck", 10)
    assert (dataset.image_shape, dataset.views.mirrors) == ((32, 32, 3), True)
    for split in (dataset.train, dataset.validation, dataset.test):
        _assert_images_match_labels(split)
    np.testing.assert_array_equal(dataset.test.images, images_and_labels(20, 10, seed=5)[0])  # in the files' order
    assert "original files, " in dataset.source
    assert "searched in this order: a copy prepared by TensorFlow Datasets in " in dataset.source


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_cifar100_has_fine_labels(tmp_path, protocol):
    write_archive(tmp_path / "cifar-100-python.tar.gz", cifar_files(100, python_3_pickle(protocol)), "cifar-100-python")
    dataset = _load("cifar100", tmp_path)
    assert (len(dataset.train), len(dataset.test), len(dataset.class_names)) == (100, 200, 100)
    assert [dataset.class_names[i] for i in (0, 72, 99)] == ["apple", "seal", "worm"]
    _assert_images_match_labels(dataset.train)


def test_both_cifars_lie_side_by_side(tmp_path):
    write_folder(tmp_path / "cifar-10-batches-py", CIFAR_10)
    write_folder(tmp_path / "cifar-100-python", CIFAR_100)
    assert [len(_load(f"cifar{n}", tmp_path).class_names) for n in (10, 100)] == [10, 100]


def test_a_complete_archive_goes_before_a_folder_that_was_not_fully_extracted(tmp_path):
    write_archive(tmp_path / "cifar-10-python.tar.gz", CIFAR_10)
    write_folder(tmp_path / "cifar-10-batches-py", {name: CIFAR_10[name] for name in TRAIN_10})
    assert _load("cifar10", tmp_path).source.startswith(f"original files, {tmp_path / 'cifar-10-python.tar.gz'} (")


def test_a_missing_batch_is_named(tmp_path):
    write_folder(tmp_path / "cifar-10-batches-py", {name: CIFAR_10[name] for name in TRAIN_10})
    with pytest.raises(UserError, match=r"test_batch is not in .*cifar-10-batches-py.*cs\.toronto\.edu"):
        _load("cifar10", tmp_path)


def test_the_other_cifar_is_told(tmp_path):
    write_archive(tmp_path / "cifar-10-python.tar.gz", {**CIFAR_10, "data_batch_2": CIFAR_100["train"]})
    with pytest.raises(UserError, match=r"data_batch_2 has no labels\. Found data, fine_labels, filenames"):
        _load("cifar10", tmp_path)


@pytest.mark.parametrize("settings", [{"dataset": "svhn_cropped"}, {"dataset": "SVHN "}, {}])
def test_svhn(tmp_path, settings):
    write_svhn(tmp_path / "SVHN")
    recipe = "digits" if settings else "svhn"
    dataset = data.load(resolve(recipe, {**settings, "data_dir": str(tmp_path), "validation_fraction": 0.5}))
    assert dataset.name == "svhn_cropped"
    assert (len(dataset.train), len(dataset.test), dataset.image_shape) == (20, 20, (32, 32, 3))
    assert (dataset.class_names, dataset.views.mirrors) == (tuple("0123456789"), False)
    for split in (dataset.train, dataset.test):
        _assert_images_match_labels(split)


def test_svhn_refusals(tmp_path):
    from scipy.io import savemat

    write_svhn(tmp_path)
    whole = (tmp_path / "test_32x32.mat").read_bytes()
    (tmp_path / "test_32x32.mat").unlink()
    with pytest.raises(UserError, match=r"test_32x32\.mat is not in .*housenumbers"):
        _load("svhn_cropped", tmp_path)
    for wrong in (whole[: len(whole) // 2], whole[:-1], b"", b"no MATLAB file at all" * 20):
        (tmp_path / "test_32x32.mat").write_bytes(wrong)
        with pytest.raises(
            UserError,
            match=r"test_32x32\.mat is damaged, truncated or no MATLAB|has no variable y: it is another file or trunc",
        ):
            _load("svhn_cropped", tmp_path)
    images = np.zeros((32, 32, 3, 4), np.uint8)
    for variables, message in (
        ({"X": images}, r"has no variable y: .* Found X"),
        ({"X": images.T, "y": [1, 2, 3, 10]}, r"expected X to be bytes of shape \(32, 32, 3, images\)"),
        ({"X": images, "y": [1, 2, 3, 11]}, "from 0 to 9. Found 11 at image 3"),
        ({"X": images, "y": np.array(["3"] * 4, object)}, "its variable y is no array of numbers"),
    ):
        savemat(tmp_path / "test_32x32.mat", variables)
        with pytest.raises(UserError, match=message):
            _load("svhn_cropped", tmp_path)


def _rename(folder, names):
    for old, new in names.items():
        target = folder / new
        path = (folder / old).rename(folder / f"{old}.moved")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


def _idx_names(form):
    return {
        f"{part}-{kind}-idx{n}-ubyte": form.format(part=part, kind=kind, n=n)
        for part in ("train", "t10k")
        for kind, n in (("images", 3), ("labels", 1))
    }


@pytest.mark.parametrize(
    "form",
    [
        "{part}-{kind}.idx{n}-ubyte",
        "{part}-{kind}-idx{n}-ubyte/{part}-{kind}-idx{n}-ubyte",
        "{part}-{kind}.idx{n}-ubyte/{part}-{kind}.idx{n}-ubyte",
        "FashionMNIST/raw/{part}-{kind}-idx{n}-ubyte",
        "fashion-mnist/{part}-{kind}-idx{n}-ubyte",
        "{part}-{kind}-idx{n}-ubyte.gz",  # by its name alone, as browsers unpack files
    ],
)
def test_idx_files_under_every_name_in_use(tmp_path, form):
    write_fashion_mnist(tmp_path / "data", compressed=False)
    _rename(tmp_path / "data", _idx_names(form))
    dataset = _load("fashion_mnist", tmp_path / "data")
    assert (len(dataset.train), len(dataset.test), dataset.image_shape) == (40, 20, (28, 28, 1))
    assert dataset.class_names[9] == "Ankle boot"
    np.testing.assert_array_equal(dataset.test.images[:, ::2].mean(axis=(2, 3)).argmax(axis=1), dataset.test.labels)


def test_a_file_and_its_compressed_copy_are_one(tmp_path):
    """As torchvision leaves them."""
    write_fashion_mnist(tmp_path / "MNIST" / "raw", compressed=False)
    write_fashion_mnist(tmp_path / "MNIST" / "raw", compressed=True)
    assert len(_load("mnist", tmp_path / "MNIST").test) == 20


def test_mnist_and_fashion_mnist_side_by_side(tmp_path):
    write_fashion_mnist(tmp_path / "MNIST" / "raw", test=20)
    write_fashion_mnist(tmp_path / "FashionMNIST" / "raw", test=30)
    assert [len(_load(name, tmp_path).test) for name in ("mnist", "fashion_mnist")] == [20, 30]
    with pytest.raises(UserError, match="Kuzushiji-MNIST was not found"):
        _load("kmnist", tmp_path)


def test_folders_that_may_both_be_the_data_set(tmp_path):
    for folder in ("a", "b"):
        write_fashion_mnist(tmp_path / folder)
    with pytest.raises(UserError, match=r"each of .*/a, .*/b holds files that may be those of MNIST.*--data_dir"):
        _load("mnist", tmp_path)
    assert len(_load("mnist", tmp_path / "a").test) == 20


def test_a_missing_file_is_not_taken_from_a_folder_of_another_name(tmp_path):
    write_fashion_mnist(tmp_path)
    write_fashion_mnist(tmp_path / "copy")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\[\.gz\] is not in "):
        _load("mnist", tmp_path)


@pytest.mark.parametrize("place", ["mnist.npz", ".", "keras"])
def test_mnist_npz(tmp_path, place):
    labels = np.arange(40) % 10
    images = np.zeros((40, 28, 28), np.uint8) + labels[:, None, None].astype(np.uint8)
    folder = tmp_path / "keras" if place == "keras" else tmp_path
    folder.mkdir(exist_ok=True)
    np.savez(folder / "mnist.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    dataset = _load("mnist", tmp_path / ("." if place == "keras" else place))
    assert (len(dataset.train), len(dataset.test), dataset.image_shape) == (20, 20, (28, 28, 1))
    np.testing.assert_array_equal(dataset.train.images[:, 0, 0, 0], dataset.train.labels)


def test_a_damaged_compressed_file(tmp_path):
    """One wrong bit that only gzip's checksum shows."""
    write_fashion_mnist(tmp_path)
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    stored = bytearray(gzip.compress(idx_bytes(np.arange(20) % 10), compresslevel=0))
    stored[-12] ^= 1  # the last label
    path.write_bytes(stored)
    with pytest.raises(UserError, match=r"(?i)t10k-labels.*CRC"):
        _load("mnist", tmp_path)


@pytest.mark.parametrize(
    ("dataset", "needed"),
    [
        ("cifar10", r"cifar-10-python\.tar\.gz from .*cs\.toronto\.edu"),
        ("CIFAR-100", r"cifar-100-python\.tar\.gz from .*cs\.toronto\.edu"),
        ("svhn", r"train_32x32\.mat and test_32x32\.mat from .*housenumbers"),
        ("mnist ", r"train-images-idx3-ubyte\[\.gz\] .*mnist\.npz, from "),
        ("fashion-mnist", r"train-images-idx3-ubyte\[\.gz\] .*dataset-fashion-mnist"),
    ],
)
def test_nothing_found(tmp_path, monkeypatch, dataset, needed):
    """The message gives the order of the search, the files to get, and how to install what would prepare a copy."""
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(UserError, match=rf"(?s)was not found; searched in this order: a copy.*{needed}.*pip install"):
        _load(dataset, tmp_path)
