"""A user's own `.npz` file: `--dataset=npz`."""

import numpy as np
import pytest
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.runs.errors import UserError

LABELS = np.arange(40) % 4
IMAGES = np.zeros((40, 6, 8, 3), np.uint8) + (10 * LABELS).astype(np.uint8)[:, None, None, None]
ARRAYS = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:12], "y_test": LABELS[:12]}


def _load(path, arrays=None):
    if arrays is not None:
        np.savez(path, **arrays)
    return data.load(resolve("digits", {"dataset": "npz", "data_dir": str(path), "validation_fraction": 0.5}))


def test_file_or_folder(tmp_path):
    for dataset in (_load(tmp_path / "own.npz", ARRAYS), _load(tmp_path)):
        assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (20, 20, 12)
        assert (dataset.image_shape, dataset.class_names) == ((6, 8, 3), tuple("0123"))
        np.testing.assert_array_equal(dataset.train.images[:, 5, 7, 2], 10 * dataset.train.labels)
        assert dataset.source == str(tmp_path / "own.npz")
    np.savez(tmp_path / "other.npz", **ARRAYS)
    with pytest.raises(UserError, match=r"has 2 \.npz files \(other\.npz, own\.npz\)\. Name one"):
        _load(tmp_path)


def test_forms_that_people_have(tmp_path):
    """Grey images without channels, labels of Keras's shape, pixels as floats, validation images, names of classes."""
    dataset = _load(
        tmp_path / "own.npz",
        {
            "x_train": IMAGES[..., 0].astype(np.float64),
            "y_train": LABELS[:, None],
            "x_test": IMAGES[:12, ..., :1],
            "y_test": LABELS[:12].astype(float),
            "x_val": IMAGES[:7, ..., 0],
            "y_val": LABELS[:7].astype(np.uint8),
            "class_names": np.array(["a", "b", "c", "d", "e"]),
        },
    )
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (40, 7, 12)
    assert (dataset.image_shape, dataset.class_names) == ((6, 8, 1), tuple("abcde"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": None, "x_test": None}, r"has no array named y_train, x_test\. .* Found x_train, y_test\."),
        ({"x_train": np.array([IMAGES[0], IMAGES[1, 1:]], object)}, "x_train is an array of Python objects"),
        ({"x_train": IMAGES.astype(str)}, "x_train has elements of type <U"),
        ({"x_train": IMAGES.reshape(40, -1)}, r"x_train has the shape \(40, 144\)\. Expected \(images, height"),
        ({"x_train": IMAGES.transpose(0, 3, 1, 2)}, r"numpy\.moveaxis\(x_train, 1, -1\)"),
        ({"x_test": IMAGES[:12, 1:]}, r"x_test has images of shape \(5, 8, 3\), x_train of \(6, 8, 3\)"),
        ({"x_train": IMAGES / 255}, r"x_train has pixels from 0 to 0\.117647\. Expected 0 to 255.*255 \* x_train"),
        ({"x_train": IMAGES * 1.0 - 1}, "image 0 has a pixel outside 0 to 255"),
        ({"x_train": np.where(IMAGES > 20, np.nan, IMAGES)}, "image 3 has a pixel that is not a finite number"),
        ({"y_train": np.eye(4)[LABELS]}, r"y_train has the shape \(40, 4\).*numpy\.argmax\(y_train, axis=1\)"),
        ({"y_train": LABELS.astype(str)}, r"y_train has labels of type <U.*numpy\.unique"),
        ({"y_train": LABELS + 1}, r"no image of y_train has the label 0\. .*Save y_train - 1"),
        ({"y_train": LABELS * 2}, r"no image of y_train has the label 1, 3, 5\."),
        ({"y_train": LABELS * 0}, "y_train has one class only"),
        ({"y_train": LABELS[1:]}, "40 images need as many labels"),
        ({"y_train": np.where(LABELS == 2, 1.5, LABELS)}, r"y_train has the label 1\.5 at image 2 \(10 such labels\)"),
        ({"y_test": LABELS[:12] + 1}, r"from 0 to 3\. Found 4 at image 3"),
        ({"y_test": LABELS[:12] - 1}, r"y_test has the label -1 at image 0 \(3 such labels\)"),
        ({"y_train": np.where(LABELS == 3, np.nan, LABELS)}, "y_train has the label nan at image 3"),
        ({"y_train": LABELS * 10**12}, r"no image of y_train has the label 1, 2, 3, 4, 5 and 2 more"),
        ({"x_val": IMAGES}, "has x_val alone"),
        ({"class_names": np.array(["a", "a", "b", "c"])}, "class_names has type .*Expected different texts"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, changes, message):
    arrays = {name: array for name, array in {**ARRAYS, **changes}.items() if array is not None}
    with pytest.raises(UserError, match=message):
        _load(tmp_path / "own.npz", arrays)


def test_wrong_files(tmp_path):
    with pytest.raises(UserError, match=r"--dataset=npz needs --data_dir=FILE\.npz"):
        data.load(resolve("digits", {"dataset": "npz"}))
    with pytest.raises(UserError, match=r"Cannot read .*No such file"):
        _load(tmp_path / "absent.npz")
    with pytest.raises(UserError, match=r"has 0 \.npz files"):
        _load(tmp_path)
    np.save(tmp_path / "single.npy", IMAGES)
    with pytest.raises(UserError, match=r"is no \.npz file but a single array"):
        _load(tmp_path / "single.npy")
    np.savez(tmp_path / "own.npz", **ARRAYS)
    whole = (tmp_path / "own.npz").read_bytes()
    wrong_bit = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    for wrong in (b"", b"text", whole[: len(whole) // 2], wrong_bit):
        (tmp_path / "own.npz").write_bytes(wrong)
        with pytest.raises(UserError, match=r"own\.npz is damaged, truncated or no \.npz file"):
            _load(tmp_path / "own.npz")


def test_objects_are_refused_unrun(tmp_path):
    class Hostile:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    with pytest.raises(UserError, match="array of Python objects, which is not read"):
        _load(tmp_path / "own.npz", {**ARRAYS, "y_train": np.array([Hostile()] * 40, object)})
    assert not (tmp_path / "ran").exists()
