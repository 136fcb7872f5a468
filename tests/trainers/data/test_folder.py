"""Image folders: layouts, files that are left out, and errors that name the folder or file at fault."""

import os
import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.data.augmentation.augment import Augmentation
from encapnet_tf.trainers.data.augmentation.views import Views
from encapnet_tf.trainers.data.pipeline.batches import training_batches
from encapnet_tf.trainers.data.pipeline.decoding import crop_and_resize, decode_image
from encapnet_tf.trainers.data.pipeline.encoded import EncodedSplit
from encapnet_tf.trainers.data.pipeline.image_formats import READS_WEBP
from encapnet_tf.trainers.data.sources.class_names import class_name_line, read_class_names
from encapnet_tf.trainers.data.sources.folder import list_folder
from encapnet_tf.trainers.runs.errors import UserError
from PIL import Image

from tests.trainers.data.image_bytes import animated, claiming, encoded
from tests.trainers.data.image_files import COLOURS, write_folder, write_image


def _load(root, **overrides):
    return data.load(resolve("digits", {"dataset": "folder", "data_dir": str(root), **overrides}))


def _load_undecoded(root, **overrides):
    """Loads a folder without opening a single image, for tests of layouts and names."""
    return _load(root, image_size=12, cache_gib=0.0, **overrides)


def _sizes(dataset):
    return len(dataset.train), len(dataset.validation), len(dataset.test)


def _assert_images_match_labels(split):
    """The brightest channel shows the class: blue 2, green 1, red 0."""
    brightest = split.pixels(np.arange(len(split))).mean(axis=(1, 2)).argmax(axis=1)
    np.testing.assert_array_equal(brightest, 2 - split.labels)


@pytest.mark.ci
def test_classes_of_one_folder(tmp_path):
    """Files of every format; the name's ending may be in capitals."""
    write_folder(tmp_path, suffixes=(".png", ".jpg", ".JPEG", ".bmp", ".gif"))
    dataset = _load(tmp_path)
    assert dataset.class_names == ("blue", "green", "red")
    assert dataset.image_shape == (12, 10, 3)
    assert _sizes(dataset) == (21, 3, 6)
    for split in (dataset.train, dataset.validation, dataset.test):
        _assert_images_match_labels(split)


@pytest.mark.parametrize(
    ("folders", "sizes"),
    [
        ({"train": 6, "val": 2, "test": 3}, (18, 6, 9)),
        ({"Training": 6, "VALID": 2, "testing": 3}, (18, 6, 9)),
        ({"TRAIN": 6, "dev": 2, "Test": 3}, (18, 6, 9)),
        ({"train": 10, "Validation": 2}, (27, 3, 6)),
        ({"train": 10, "valid": 2}, (27, 3, 6)),
        ({"train": 10, "test": 2}, (27, 3, 6)),
    ],
    ids=str,
)
def test_folders_of_splits(tmp_path, folders, sizes):
    """A validation folder is the test split where there is no other."""
    for name, n in folders.items():
        write_folder(tmp_path / name, n)
    write_folder(tmp_path / "extra", 1)
    dataset = _load_undecoded(tmp_path)
    assert _sizes(dataset) == sizes
    assert dataset.skipped == {"folder beside the splits": (str(tmp_path / "extra"),)}


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train", "val", "valid"), "has 2 folders for the validation split: val, valid"),
        (("Train", "training"), "has 2 folders for the train split: Train, training"),
        (("val", "test"), "has the folder test and val but no training folder beside it"),
        (("cat", "Testing"), "has the folder Testing but no training folder .*--classes_file"),
    ],
)
def test_unclear_splits_are_refused(tmp_path, folders, message):
    for name in folders:
        write_folder(tmp_path / name, 1)
    with pytest.raises(UserError, match=message):
        _load_undecoded(tmp_path)


NAMES = ("C#", "#1", "take #2", "naïve 雪", "it's", '"quoted"', ' "a', "$x$", "100%", "a,b", "train")


def test_every_name_of_a_class_works_with_a_classes_file(tmp_path):
    """Among them the name of a split, which is a class where the file lists it."""
    for name in NAMES:
        write_image(tmp_path / "data" / name / "0.png", COLOURS["red"])
        write_image(tmp_path / "data" / name / "1.png", COLOURS["red"])
    write_image(tmp_path / "data" / "other" / "0.png", COLOURS["red"])
    file = tmp_path / "classes.txt"
    file.write_text("\ufeff" + "".join(f"{class_name_line(name)}  # words\n" for name in NAMES), encoding="utf-8")
    assert read_class_names(file) == list(NAMES)
    config = {"dataset": "folder", "data_dir": str(tmp_path / "data"), "classes_file": str(file)}
    assert list_folder(resolve("digits", config)).class_names == NAMES


def test_names_that_are_no_text_are_reported(tmp_path):
    write_folder(tmp_path / "data")
    file = os.path.join(os.fsencode(tmp_path), b"data", b"red", b"caf\xe9.png")
    try:
        with open(file, "wb") as stream:
            stream.write(encoded(np.zeros((8, 8), np.uint8)))
    except OSError:
        pytest.skip("The file system takes names in UTF-8 only.")
    with pytest.raises(UserError, match=r"1 names in .*red are no text in UTF-8.*red/caf\\xe9\.png\. Rename them"):
        _load_undecoded(tmp_path / "data")
    os.rename(file, os.path.join(os.fsencode(tmp_path), b"data", b"gr\xfcn"))
    with pytest.raises(UserError, match=r"data/gr\\xfcn\. Rename them"):
        _load_undecoded(tmp_path / "data")


@pytest.mark.ci
def test_formats_that_are_not_read_are_refused_by_name(tmp_path):
    write_folder(tmp_path, per_class=20, suffixes=(".png", ".TIF"))
    with pytest.raises(UserError, match=r"30 x TIFF image, a format .*01\.TIF.*Convert.*--corrupt_images=skip"):
        _load_undecoded(tmp_path)
    dataset = _load_undecoded(tmp_path, corrupt_images="skip")
    assert sum(_sizes(dataset)) == 30
    assert len(dataset.skipped["TIFF image, a format that TensorFlow does not read"]) == 30


# One list of files goes through training and through an exported model's preprocessing.
SQUARE = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8)
READ = {
    **{kind: encoded(SQUARE, kind) for kind in ("PNG", "JPEG", "BMP", "GIF")},
    "grey BMP": encoded(SQUARE[..., 0], "BMP"),
    "animated GIF": animated("GIF"),
    "animated PNG": animated("PNG"),
    **({"WebP": encoded(SQUARE, "WEBP")} if READS_WEBP else {}),
}
REFUSED = {
    "palette": (encoded(SQUARE, "BMP", palette=True), "it is a BMP with a palette of colours"),
    "TIFF": (encoded(SQUARE, "TIFF"), "it is a TIFF file; expected JPEG"),
    "PNG too large": (claiming("PNG", 20000, 20000), "it is 20000x20000 pixels by its header"),
    "JPEG too large": (claiming("JPEG", 20000, 20000), "it is 20000x20000 pixels by its header"),
    "cut PNG": (encoded(SQUARE)[:200], "Invalid PNG data"),
    "cut JPEG": (encoded(SQUARE, "JPEG")[:400], "Invalid JPEG data"),
    "empty": (b"", "it is an empty file"),
}


@pytest.mark.ci
@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.ci), 3])
def test_training_reads_what_an_export_reads(channels):
    from encapnet_tf.export.artefacts.preprocessing import Preprocessing

    files = list(READ.values()) + [file for file, _ in REFUSED.values()]
    table, n = tf.constant(files), len(files)
    split = EncodedSplit(
        lambda i: table[i], np.arange(n), np.zeros(n, np.int32), (8, 8), channels, [*READ, *REFUSED].__getitem__
    )
    assert split.readable_indices().tolist() == list(range(len(READ)))
    of_files = tf.function(
        Preprocessing((8, 8), channels, Views((8, 8), 1.0)).of_files,
        input_signature=[tf.TensorSpec((None,), tf.string)],
        autograph=False,
    )
    readable = np.arange(len(READ))
    np.testing.assert_array_equal(of_files(tf.constant(files[: len(READ)])), split.pixels(readable))
    for i, (name, (file, reason)) in enumerate(REFUSED.items()):
        with pytest.raises(tf.errors.InvalidArgumentError, match=reason.removeprefix("it ")):
            of_files(tf.constant([file]))
        with pytest.raises(UserError, match=rf"1 of 1 image cannot be decoded: {name} \({reason}"):
            split.take([len(READ) + i]).raise_if_corrupt()


@pytest.mark.ci
def test_links_and_other_files_are_left_out_and_counted(tmp_path):
    write_folder(tmp_path / "data")
    write_image(tmp_path / "elsewhere" / "secret.png", (9, 9, 9))
    red = tmp_path / "data" / "red"
    (red / "link.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (tmp_path / "data" / "linked_class").symlink_to(tmp_path / "elsewhere")
    (red / "notes.txt").write_text("not an image")
    (red / "inner").mkdir()
    os.mkfifo(red / "pipe.png")  # reading it would wait forever
    (tmp_path / "data" / "README").write_text("")
    for name in (".ipynb_checkpoints", "__MACOSX"):
        write_image(tmp_path / "data" / name / "0.png", (9, 9, 9))
    write_image(red / "._00.png", (9, 9, 9))
    (red / "Thumbs.db").write_text("")
    dataset = _load(tmp_path / "data")
    assert dataset.class_names == ("blue", "green", "red")
    assert sum(_sizes(dataset)) == 30
    assert {why: len(names) for why, names in dataset.skipped.items()} == {
        "hidden file or folder": 4,
        "symbolic link": 2,
        "no image by its name": 1,
        "folder within a class, or no regular file": 2,
        "file outside the class folders": 1,
    }
    assert "2 x symbolic link" in data.describe_skipped(dataset)
    assert "notes.txt" in data.describe_skipped(dataset)


def _corrupt(path):
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize("cache_gib", [1.0, 0.0])
def test_corrupt_images_are_left_out_on_request(tmp_path, cache_gib):
    write_folder(tmp_path)
    for name in ("03.png", "07.png"):
        _corrupt(tmp_path / "green" / name)
    dataset = _load(tmp_path, corrupt_images="skip", cache_gib=cache_gib, image_size=12)
    assert sum(_sizes(dataset)) == 28
    assert [path[-12:] for path in dataset.skipped["corrupt image"]] == ["green/03.png", "green/07.png"]
    for split in (dataset.train, dataset.validation, dataset.test):
        _assert_images_match_labels(split)


def test_a_corrupt_image_is_named(tmp_path):
    write_folder(tmp_path)
    _corrupt(tmp_path / "green" / "03.png")
    with pytest.raises(UserError, match=r"1 of 24 images cannot be decoded: .*green/03\.png.*--corrupt_images=skip"):
        _load(tmp_path, image_size=12)


@pytest.mark.ci
def test_images_too_many_for_memory_are_read_for_each_batch(tmp_path):
    write_folder(tmp_path, size=(16, 16))
    in_memory, on_disk = (_load(tmp_path, cache_gib=gib) for gib in (1.0, 0.0))
    assert hasattr(in_memory.train, "images")
    assert not hasattr(on_disk.train, "images")
    batches = [
        list(training_batches(d.train, 8, 2, 0, Augmentation(("++",), d.views, 3))) for d in (in_memory, on_disk)
    ]
    assert len(batches[0]) == len(batches[1]) == 4
    for (x1, y1), (x2, y2) in zip(*batches, strict=True):
        np.testing.assert_array_equal(x1, x2)
        np.testing.assert_array_equal(y1, y2)


@pytest.mark.ci
@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_an_image_that_breaks_in_training_is_named(tmp_path, part):
    """Too many images for memory, so none was decoded before; the test images are checked before training begins."""
    from encapnet_tf.trainers.fitting.train import train

    for name in ("train", "val", "test"):
        write_folder(tmp_path / "data" / name, per_class=4, size=(8, 8))
    overrides = {"dataset": "folder", "data_dir": str(tmp_path / "data"), "cache_gib": 0.0, "image_size": 8}
    tiny = {"num_capsules": 2, "depths": (0,), "capsule_dims": (2,), "strides": (2,), "batch_size": 4, "epochs": 3}
    for path in (tmp_path / "data" / part / "green").iterdir():
        _corrupt(path)
    with pytest.raises(UserError, match=rf"images cannot be decoded: .*{part}/green/0"):
        train(resolve("digits", {**overrides, **tiny}), tmp_path / "run")
    assert (tmp_path / "run").exists() == (part != "test")


def test_images_of_differing_sizes_need_image_size(tmp_path):
    write_folder(tmp_path)
    write_image(tmp_path / "red" / "odd.png", COLOURS["red"], (30, 50))
    with pytest.raises(UserError, match=r"odd\.png is 30x50, others 12x10.*--image_size"):
        _load(tmp_path)
    dataset = _load(tmp_path, image_size=8, augment=("++",))
    assert dataset.image_shape == (8, 8, 3)
    assert dataset.train.images.shape[1:] == (10, 10, 3)  # stored enlarged, for the crops


def test_the_central_square_is_cut_out():
    """A wide image keeps its proportions: its shorter side is resized."""
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, 20:40] = 200
    assert (crop_and_resize(image, (10, 10)).numpy() == 200).mean() > 0.75
    assert (crop_and_resize(image, (20, 20)).numpy() == 200).all()


def test_large_jpeg_files_are_decoded_small_and_look_alike(tmp_path):
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8))
    coarse.resize((400, 300), Image.Resampling.BICUBIC).save(tmp_path / "smooth.jpg", quality=95)
    file = (tmp_path / "smooth.jpg").read_bytes()
    assert decode_image(file, 3).shape == (300, 400, 3)
    for min_size, height in (((300, 300), 300), ((151, 151), 300), ((150, 150), 150), ((40, 40), 75), ((9, 9), 38)):
        small = decode_image(file, 3, min_size).numpy()
        assert small.shape[0] == height
        expected = np.asarray(Image.open(tmp_path / "smooth.jpg").resize(small.shape[1::-1], Image.Resampling.BOX))
        assert np.abs(small.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: [p.unlink() for p in (root / "red").iterdir()], r"class folder .*red has no images"),
        (lambda root: (root / "train").mkdir(), r"train holds 0 folders; expected one for each class"),
        (lambda root: write_folder(root / "train", 3) or (root / "val").mkdir(), r"val has no folder for 3 of the 3"),
        (
            lambda root: (
                write_folder(root / "train", 3)
                or write_folder(root / "val", 3)
                or write_image(root / "val" / "mauve" / "0.png", (9, 0, 9))
            ),
            r"val has folders for classes without training images: mauve",
        ),
    ],
)
def test_wrong_folders_are_named(tmp_path, change, message):
    write_folder(tmp_path)
    change(tmp_path)
    with pytest.raises(UserError, match=message):
        _load_undecoded(tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        _load(tmp_path / "nowhere")


def test_accents_of_macos(tmp_path):
    """Names that look the same are one class, though macOS writes an accented letter as two characters."""
    one, two = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    for name in (f"train/{two}", "train/tea", f"test/{one}", "test/tea"):
        write_image(tmp_path / "data" / name / "0.png", (0, 0, 0))
    config = {"dataset": "folder", "data_dir": str(tmp_path / "data")}
    listing = list_folder(resolve("digits", config))
    assert (listing.class_names, len(listing.files["test"])) == ((two, "tea"), 2)
    (tmp_path / "names.txt").write_text(f"tea\n{one}\n")
    listing = list_folder(resolve("digits", {**config, "classes_file": str(tmp_path / "names.txt")}))
    assert (listing.class_names, len(listing.files["train"])) == (("tea", one), 2)
    write_image(tmp_path / "data" / "train" / one / "0.png", (0, 0, 0))
    with pytest.raises(UserError, match=r"names look the same.*'cafe\\u0301', 'caf\\xe9'"):
        list_folder(resolve("digits", config))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_classes_file_of_windows(tmp_path, encoding):
    """Notepad and PowerShell write byte order marks, and lines that end in a carriage return and a line feed."""
    mark = "\ufeff" if encoding == "utf-16-le" else ""
    (tmp_path / "names.txt").write_bytes(f"{mark}rød\r\nblue\r\n".encode(encoding))
    assert read_class_names(tmp_path / "names.txt") == ["rød", "blue"]


def test_classes_file_selects_classes(tmp_path):
    write_folder(tmp_path / "data")
    ids = tmp_path / "ids.txt"
    ids.write_text("# mine\nred\n\nblue  # like the sky\n")
    assert _load_undecoded(tmp_path / "data", classes_file=str(ids)).class_names == ("red", "blue")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no class"),
        ("red\nblue\nred\n", "line 3 names red again, after line 1"),
        ("red\n../secret\n", "line 2 is no folder's name"),
        ("red\nn123\n", r"has no folder for 1 of the 2 classes: n123"),
        (None, "cannot be read: No such file"),
        (b"\xff\xfe\x00", "no text file"),
    ],
)
def test_an_error_in_a_classes_file_names_the_line(tmp_path, text, message):
    write_folder(tmp_path / "data")
    ids = tmp_path / "ids.txt"
    if text is not None:
        ids.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        _load(tmp_path / "data", classes_file=str(ids))
