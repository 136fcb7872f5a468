"""Loader for image data sets stored as a folder with one subfolder per class."""

import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from ...config.schema import Config
from ...runs.counting import counted
from ...runs.errors import UserError
from ..pipeline.dataset import TEST_SHARE, SingleSplit, SourceDataset, stratified_split
from ..pipeline.decoding import decode_image
from ..pipeline.encoded import EncodedSplit, abbreviate
from ..pipeline.image_formats import READABLE, READS_WEBP, UNREADABLE_SUFFIXES
from .class_names import read_class_names
from .split_folders import is_folder, list_entries, split_folders

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", *([".webp"] if READS_WEBP else []))
_UNREADABLE = "image, a format that TensorFlow does not read"


@dataclass(frozen=True)
class FolderListing:
    """Paths, labels and classes of the image files in a folder with one subfolder per class.

    None of the files has been opened.

    Attributes:
        class_names: one per class, in the order of the labels.
        files: split ("train", and "validation" and "test" where they have folders) -> paths, ordered by class and name.
        labels: split -> (n,) int32.
        skipped: reason -> names of the files that were left out.
    """

    class_names: tuple[str, ...]
    files: dict[str, list[str]]
    labels: dict[str, np.ndarray]
    skipped: dict[str, list[str]]


def load_folder(config: Config, size: tuple[int, int] | None) -> SourceDataset:
    """Load an image data set from a folder with one subfolder per class.

    The layout is FOLDER/CLASS/image.jpg, or FOLDER/train/CLASS/image.jpg with test and validation folders beside train;
    `split_folders` has their names. Without a test folder, the validation folder is the test split; without either, a
    fixed fifth of the images is. Symbolic links, hidden files and files that are no images are left out, and counted in
    the result's `skipped`.

    Args:
        config: the run's `Config`: data_dir, classes_file, color_mode.
        size: (height, width) to crop and resize images to. None keeps the images' own size, which must be the same for
            all.

    Raises:
        UserError: the folder is missing, its splits are unclear, a class has no images, the splits' classes differ, a
            name is no text, images are of a format that is not read (unless `corrupt_images` is "skip"), or the file of
            class names is wrong; the message names the folder or file.
    """
    listing = list_folder(config)
    channels = 1 if config.color_mode == "grayscale" else 3
    encoded = {
        part: _encoded_split(files, listing.labels[part], size, channels) for part, files in listing.files.items()
    }
    if len({split.size for split in encoded.values()}) > 1:
        raise UserError(
            f"{config.data_dir}: the images of its splits differ in size. Set --image_size, such as --image_size=128."
        )
    splits: dict[str, SingleSplit] = {**encoded}
    if "test" not in splits:
        splits["train"], splits["test"] = stratified_split(splits["train"], TEST_SHARE)
    validation = splits.get("validation")
    return SourceDataset(listing.class_names, splits["train"], splits["test"], validation, skipped=listing.skipped)


def list_folder(config: Config) -> FolderListing:
    """List the image files of a folder with one subfolder per class, without opening any file.

    Args:
        config: as for `load_folder`.

    Raises:
        UserError: as from `load_folder`.
    """
    if config.data_dir is None:
        raise UserError(f"--dataset={config.dataset} needs --data_dir=FOLDER, with a folder of images for each class.")
    root = Path(config.data_dir).expanduser()
    if not root.is_dir():
        raise UserError(f"--data_dir={root}: there is no such folder.")
    skipped: dict[str, list[str]] = defaultdict(list)
    classes = None if config.classes_file is None else read_class_names(config.classes_file)
    folders = split_folders(root, classes, skipped)
    if classes is None:
        classes = _class_folders(folders["train"], skipped)
        for folder in folders.values():
            _refuse_other_classes(folder, classes)
    files, labels = {}, {}
    for part, folder in folders.items():
        files[part], labels[part] = _list_split(folder, classes, skipped)
    if config.corrupt_images != "skip":
        _refuse_unreadable_formats(skipped)
    return FolderListing(tuple(classes), files, labels, dict(skipped))


def _class_folders(path: Path, skipped: dict) -> list[str]:
    """Return the names of the subfolders that hold the classes of an image data set.

    Paths of links and of other files are added to `skipped`, by reason.
    """
    names = []
    for entry in list_entries(path, skipped):
        if entry.is_symlink():
            skipped["symbolic link"].append(entry.path)
        elif entry.is_dir():
            names.append(entry.name)
        else:
            skipped["file outside the class folders"].append(entry.path)
    twins = Counter(map(_normal_form, names))
    if twice := [name for name in names if twins[_normal_form(name)] > 1]:
        raise UserError(
            f"{path} has folders whose names look the same, but are written with other characters (an accented letter "
            f"as one character or as two): {', '.join(map(ascii, twice))}. Merge them."
        )
    if len(names) < 2:
        links = len(skipped["symbolic link"])
        raise UserError(
            f"{path} holds {counted(len(names), 'folder')}; expected one for each class, at least 2, with "
            "its images in it."
            + (f" Left out: {counted(links, 'symbolic link')}." if links else "")
            + (f" If {path / names[0]} is the folder of the data set, name it in --data_dir." if names else "")
        )
    return names


def _normal_form(name: str) -> str:
    """Normalise a name to Unicode NFC, in which each accented letter is one character.

    macOS writes two, the letter and the accent.
    """
    return unicodedata.normalize("NFC", name)


def _refuse_other_classes(path: Path, classes: list[str]):
    folders = [entry.name for entry in list_entries(path) if entry.is_dir(follow_symlinks=False)]
    known = set(map(_normal_form, classes))
    if others := [name for name in folders if _normal_form(name) not in known]:
        raise UserError(
            f"{path} has folders for classes without training images: {abbreviate(others)}. Remove them, or add their "
            "classes to the training images."
        )


def _list_split(path: Path, classes: list[str], skipped: dict) -> tuple[list[str], np.ndarray]:
    """Return paths and labels of the training, validation or test images, ordered by class and file name."""
    folders = {_normal_form(entry.name): Path(entry.path) for entry in list_entries(path)}
    folders = {name: folder for name, folder in folders.items() if is_folder(folder)}
    if missing := [name for name in classes if _normal_form(name) not in folders]:
        raise UserError(
            f"{path} has no folder for {len(missing)} of the {len(classes)} classes: {abbreviate(missing)}."
        )
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        folder = folders[_normal_form(name)]
        class_files, other_files = list_image_files(folder)
        for reason, names in other_files.items():
            skipped[reason] += names
        if not class_files:
            raise UserError(
                f"The class folder {folder} has no images. Expected files that end in {', '.join(SUFFIXES)}."
                + "".join(f" It has {len(names):,} x {reason}." for reason, names in other_files.items())
            )
        files += class_files
        labels += [label] * len(class_files)
    return files, np.array(labels, np.int32)


def _encoded_split(files: list[str], labels: np.ndarray, size, channels: int) -> EncodedSplit:
    paths = tf.constant(files)
    return EncodedSplit(
        read=lambda index: tf.io.read_file(paths[index]),
        rows=np.arange(len(files)),
        labels=labels,
        size=size or _common_size(files),
        channels=channels,
        name_of=lambda index: files[index],
    )


def list_image_files(path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the image files in the folder of one image class, and the skipped files grouped by reason.

    No file is opened.

    Returns:
        Paths of the images, and reason -> paths of the entries that were left out: hidden files, symbolic links,
        folders, pipes, and files without the suffix of an image that TensorFlow reads.
    """
    files: list[str] = []
    skipped: dict[str, list[str]] = defaultdict(list)
    for entry in list_entries(path, skipped):
        suffix = Path(entry.name).suffix.lower()
        if entry.is_symlink():
            skipped["symbolic link"].append(entry.path)
        elif not entry.is_file():
            skipped["folder within a class, or no regular file"].append(entry.path)
        elif suffix in UNREADABLE_SUFFIXES:
            skipped[f"{UNREADABLE_SUFFIXES[suffix]} {_UNREADABLE}"].append(entry.path)
        elif suffix not in SUFFIXES:
            skipped["no image by its name"].append(entry.path)
        else:
            files.append(entry.path)
    return files, skipped


def _refuse_unreadable_formats(skipped: dict):
    """Raise `UserError` if a folder of images holds files in a format that TensorFlow cannot read, such as TIFF."""
    unreadable = {reason: names for reason, names in skipped.items() if reason.endswith(_UNREADABLE)}
    if unreadable:
        found = "; ".join(f"{len(names):,} x {reason} ({abbreviate(names, 3)})" for reason, names in unreadable.items())
        raise UserError(
            f"The data has images that cannot be read: {found}. Convert them to {READABLE}, or leave them out by "
            "--corrupt_images=skip."
        )


def _common_size(files: list[str]) -> tuple[int, int]:
    """Return the size (height, width) that all image files share, or raise `UserError` if the sizes differ.

    Raises:
        UserError: two images differ in size, or none can be decoded.
    """
    sizes = tf.data.Dataset.from_tensor_slices(files).map(
        lambda file: (file, tf.shape(decode_image(tf.io.read_file(file), 3))[:2]), num_parallel_calls=tf.data.AUTOTUNE
    )
    first = None
    for file, size in sizes.ignore_errors().as_numpy_iterator():
        first = size if first is None else first
        if not np.array_equal(size, first):
            raise UserError(
                f"The images differ in size ({file.decode()} is {size[0]}x{size[1]}, others {first[0]}x{first[1]}). "
                "Set --image_size, such as --image_size=128."
            )
    if first is None:
        raise UserError(f"None of the {len(files):,} images can be decoded, the first of which is {files[0]}.")
    return int(first[0]), int(first[1])
