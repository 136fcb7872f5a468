"""A folder of images: a folder for each class, of files that stay where they are."""

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import tensorflow as tf

from ...runs.errors import UserError
from ..pipeline.encoded import EncodedSplit, decode, some
from ..pipeline.split import stratified
from .loaded import Loaded
from .tfds import TEST_SHARE

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
_VALIDATION, _TEST = ("val", "validation"), "test"


def load_folder(config, size) -> Loaded:
    """Loads FOLDER/CLASS/image.jpg, or FOLDER/train/CLASS/... with FOLDER/test/CLASS/... and FOLDER/val/CLASS/....

    Without a test folder, the val folder is the test split; without either, a fixed fifth of the images is.
    Symbolic links and whatever is no image file are left out, and counted.

    Args:
        config: the run's `Config`: data_dir, classes_file.
        size: (height, width) to bring images to; None takes the first image's, which all must then have.

    Raises:
        UserError: there is no such folder, a class has no images, the splits' classes differ, or the file of class
            names is wrong; each by its name.
    """
    if config.data_dir is None:
        raise UserError(f"--dataset={config.dataset} needs --data_dir=FOLDER, with a folder of images for each class.")
    root = Path(config.data_dir)
    if not root.is_dir():
        raise UserError(f"--data_dir={root}: there is no such folder.")
    wanted = None if config.classes_file is None else read_classes(config.classes_file)
    skipped = defaultdict(list)
    if _is_folder(root / "train"):
        parts = {"train": root / "train"}
        held = [name for name in (*_VALIDATION, _TEST) if _is_folder(root / name)]
        for name in held:
            parts["test" if name == _TEST or _TEST not in held else "validation"] = root / name
    else:
        parts = {"train": root}
    classes = wanted or _class_folders(parts["train"], skipped)
    splits = {part: _split(path, classes, size, wanted is not None, skipped) for part, path in parts.items()}
    if len({split.size for split in splits.values()}) > 1:
        raise UserError(f"{root}: images of different splits differ in size; say --image_size, such as 128.")
    if "test" not in splits:
        splits["train"], splits["test"] = stratified(splits["train"], TEST_SHARE)
    return Loaded(tuple(classes), **splits, skipped=dict(skipped))


def read_classes(path) -> list:
    """Reads a file of class names (WordNet ids, folder names), one a line; `#` begins a comment.

    Raises:
        UserError: it is missing, empty, or names a class twice; with the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text file"
        raise UserError(f"--classes_file={path} cannot be read: {reason}.") from None
    first = {}
    for number, line in enumerate(lines, 1):
        name = line.split("#")[0].strip()
        if not name:
            continue
        if name in first:
            raise UserError(f"--classes_file={path}: line {number} names {name} again, after line {first[name]}.")
        if "/" in name or name in (".", ".."):
            raise UserError(f"--classes_file={path}: line {number} is no folder's name: {name!r}.")
        first[name] = number
    if not first:
        raise UserError(f"--classes_file={path} names no class: expected one a line.")
    return list(first)


def _class_folders(path, skipped):
    names = []
    for entry in _entries(path):
        if entry.is_symlink():
            skipped["symbolic link"].append(entry.path)
        elif entry.is_dir():
            names.append(entry.name)
        else:
            skipped["file outside the class folders"].append(entry.path)
    if len(names) < 2:
        links = len(skipped["symbolic link"])
        raise UserError(
            f"{path} holds {len(names)} folders; expected one for each class, at least 2, with its images in it."
            + (f" {links} symbolic links were left out." if links else "")
        )
    return names


def _is_folder(path):
    return path.is_dir() and not path.is_symlink()


def _split(path, classes, size, some_only, skipped) -> EncodedSplit:
    """The images below one folder, in the order of class and file name."""
    missing = [name for name in classes if not _is_folder(path / name)]
    if missing:
        raise UserError(f"{path} has no folder for {len(missing)} of the {len(classes)} classes: {some(missing)}.")
    if not some_only:
        others = [e.name for e in _entries(path) if e.is_dir(follow_symlinks=False) and e.name not in set(classes)]
        if others:
            raise UserError(f"{path} has folders for classes without training images: {some(others)}.")
    files, labels = [], []
    for label, name in enumerate(classes):
        own, left_out = image_files(path / name)
        for why, names in left_out.items():
            skipped[why] += names
        if not own:
            raise UserError(f"The class folder {path / name} has no images ({', '.join(SUFFIXES)}).")
        files += own
        labels += [label] * len(own)
    table = tf.constant(files)
    return EncodedSplit(
        read=lambda index: tf.io.read_file(table[index]),
        rows=np.arange(len(files)),
        labels=np.array(labels, np.int32),
        size=size or _common_size(files),
        channels=3,
        name_of=lambda index: files[index],
    )


def image_files(path) -> tuple[list, dict]:
    """Image files of a class folder, by name; links, folders, pipes and other files are told of, never opened.

    Returns:
        Paths, and why -> paths of what was left out.
    """
    found, left_out = [], defaultdict(list)
    for entry in _entries(path):
        if entry.is_symlink():
            left_out["symbolic link"].append(entry.path)
        elif not entry.is_file():
            left_out["folder within a class, or no regular file"].append(entry.path)
        elif not entry.name.lower().endswith(SUFFIXES) or entry.name.startswith("."):
            left_out["no image by its name"].append(entry.path)
        else:
            found.append(entry.path)
    return found, left_out


def _entries(path):
    try:
        return sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"Cannot read the folder {path}: {error.strerror}.") from None


def _common_size(files):
    """The size that all images have.

    Raises:
        UserError: two differ, so a size must be said; or one cannot be decoded.
    """
    shapes = tf.data.Dataset.from_tensor_slices(files).map(
        lambda file: (file, tf.shape(decode(tf.io.read_file(file), 3))[:2]), num_parallel_calls=tf.data.AUTOTUNE
    )
    first = None
    for file, shape in shapes.ignore_errors().as_numpy_iterator():
        first = shape if first is None else first
        if not np.array_equal(shape, first):
            raise UserError(
                f"The images differ in size ({file.decode()} is {shape[0]}x{shape[1]}, others {first[0]}x{first[1]}): "
                "say --image_size, such as --image_size=128."
            )
    if first is None:
        raise UserError(f"None of the {len(files):,} images can be decoded, the first {files[0]}.")
    return tuple(int(n) for n in first)
