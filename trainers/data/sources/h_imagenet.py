"""h-ImageNet, the paper's 200 hard classes of ImageNet, built from the user's own copy.

Differs from the paper: it names neither its padding nor how images without a box were cropped by hand. Here each box
is one image, padded by a tenth of its size; an image without a box is taken whole. Both are made smaller where a side
is longer than 500 pixels.
"""

import os
import re
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import tensorflow as tf

from ...runs.errors import UserError
from ..pipeline.encoded import some
from .folder import image_files, read_classes

PAPER_CLASSES = 200
PAPER_COUNTS = {"train": 255_725, "val": 17_101}
LEAST, MOST = 50, 500  # pixels a side
_PADDING = 0.1  # of the box, at each of its sides
_WORDNET_ID = re.compile(r"n\d{8}")
_MOST_XML = 1 << 20  # bytes


def build(imagenet, classes_file, out, boxes=None, skip_corrupt: bool = False) -> str:
    """Builds out/train/WNID/*.jpg and out/val/WNID/*.jpg, for `--dataset=folder` and the recipe h_imagenet.

    Args:
        imagenet: folder with train/WNID and val/WNID.
        classes_file: the WordNet ids, one a line.
        out: folder to make; it appears when all is done.
        boxes: folder with the bounding boxes' XML files (Pascal VOC's form), found by the images' names; or None.
        skip_corrupt: whether images that cannot be decoded are left out and counted, rather than refused.

    Returns:
        What was made, beside the paper's counts.

    Raises:
        UserError: a file or folder is missing, wrong or corrupt, each by its name; or `out` exists.
    """
    imagenet, out = Path(imagenet), Path(out)
    ids = read_classes(classes_file)
    if wrong := [name for name in ids if not _WORDNET_ID.fullmatch(name)]:
        raise UserError(f"--classes_file={classes_file}: expected WordNet ids such as n01440764. Found {some(wrong)}.")
    if out.exists():
        raise UserError(f"--out={out} exists already. Remove it, or name another folder.")
    parts, left_out = {}, {}
    for part in PAPER_COUNTS:
        parts[part], left_out[part] = _part(imagenet / part, ids)
    annotations = {} if boxes is None else _annotations(Path(boxes))
    unfinished = out.with_name(f"{out.name}.unfinished")
    try:
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"Cannot make {unfinished}: {error.strerror}. If an earlier try was cut short, remove it."
        ) from None
    try:
        counts = {part: _crop_all(files, annotations, unfinished / part, skip_corrupt) for part, files in parts.items()}
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    os.replace(unfinished, out)
    return _summary(out, ids, counts, left_out)


def _part(folder, ids) -> tuple[list, Counter]:
    """The image files of one split, and why how many others are left out."""
    if not folder.is_dir():
        raise UserError(
            f"There is no folder {folder}: expected train and val below --imagenet, each with a folder for each class. "
            "The validation images come unsorted; they have to be moved into folders by their class."
        )
    if missing := [name for name in ids if not (folder / name).is_dir()]:
        raise UserError(f"{folder} has no folder for {len(missing)} of the {len(ids)} ids: {some(missing)}.")
    files, left_out = [], Counter()
    for name in ids:
        own, others = image_files(folder / name)
        left_out.update({why: len(names) for why, names in others.items()})
        if not own:
            told = "".join(f" {len(names):,} x {why} were left out." for why, names in others.items())
            raise UserError(f"The class folder {folder / name} has no images.{told}")
        files += own
    return files, left_out


def _annotations(folder) -> dict:
    """Name of an image -> its XML file."""
    if not folder.is_dir():
        raise UserError(f"--boxes={folder}: there is no such folder.")
    found = {path.stem: path for path in sorted(folder.rglob("*.xml"))}
    if not found:
        raise UserError(f"--boxes={folder}: there is no XML file in it.")
    return found


def _crop_all(files, annotations, out, skip_corrupt) -> Counter:
    """Crops one split's images into `out`.

    Returns:
        Counts: images made, and why others were not.
    """
    for folder in {Path(file).parent.name for file in files}:
        (out / folder).mkdir(parents=True)
    counts = Counter()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for one in threads.map(lambda file: _crop(file, annotations, out, skip_corrupt), files):
            counts.update(one)
    return counts


def _crop(file, annotations, out, skip_corrupt) -> Counter:
    file = Path(file)
    try:
        image = tf.io.decode_image(file.read_bytes(), channels=3, expand_animations=False)
    except (tf.errors.InvalidArgumentError, OSError) as error:
        if skip_corrupt:
            return Counter({"corrupt": 1})
        raise UserError(
            f"{file} cannot be decoded ({str(error).splitlines()[0][:200]}). Mend it, or leave such images out by "
            "--corrupt_images=skip."
        ) from None
    height, width = image.shape[:2]
    annotation = annotations.get(file.stem)
    rectangles = read_boxes(annotation) if annotation else []
    counts = Counter({"with a box" if rectangles else "without a box": 1})
    for i, rectangle in enumerate(rectangles or [(0, 0, width, height)]):
        left, top, right, bottom = padded(rectangle, width, height) if rectangles else rectangle
        if min(right - left, bottom - top) < LEAST:
            counts["too small"] += 1
            continue
        part = image[top:bottom, left:right]
        scale = MOST / max(right - left, bottom - top)
        if scale < 1:
            size = [max(1, round(n * scale)) for n in (bottom - top, right - left)]
            part = tf.cast(tf.clip_by_value(tf.round(tf.image.resize(part, size, antialias=True)), 0, 255), tf.uint8)
        target = out / file.parent.name / f"{file.stem}_{i}.jpg"
        target.write_bytes(tf.io.encode_jpeg(part, quality=95).numpy())
        counts["made"] += 1
    return counts


def padded(rectangle, width: int, height: int) -> tuple:
    """A box and a tenth of its size at each side, within the image.

    Args:
        rectangle: (left, top, right, bottom) in pixels; right and bottom lie just outside.
        width, height: of the image.
    """
    left, top, right, bottom = rectangle
    across, down = (right - left) * _PADDING, (bottom - top) * _PADDING
    return (
        max(0, round(left - across)),
        max(0, round(top - down)),
        min(width, round(right + across)),
        min(height, round(bottom + down)),
    )


def read_boxes(path) -> list:
    """The boxes of an annotation file.

    Returns:
        List of (left, top, right, bottom); right and bottom lie just outside.

    Raises:
        UserError: the file is no such annotation.
    """
    try:
        if path.stat().st_size > _MOST_XML:
            raise ValueError("it is larger than any such file")
        root = ElementTree.fromstring(path.read_bytes())
        boxes = [[int(float(box.findtext(k))) for k in ("xmin", "ymin", "xmax", "ymax")] for box in root.iter("bndbox")]
    except (OSError, ElementTree.ParseError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no bounding box annotation: {error}.") from None
    return [(left, top, right, bottom) for left, top, right, bottom in boxes if right > left and bottom > top]


def _summary(out, ids, counts, left_out) -> str:
    lines = [f"{out}: {len(ids)} classes (the paper has {PAPER_CLASSES})"]
    for part, count in counts.items():
        lines.append(
            f"{part:<6}{count['made']:>9,} images (the paper has {PAPER_COUNTS[part]:,}), from {count['with a box']:,} "
            f"with boxes and {count['without a box']:,} without; left out: {count['too small']:,} smaller than {LEAST} "
            f"pixels, {count['corrupt']:,} corrupt" + "".join(f", {n:,} x {why}" for why, n in left_out[part].items())
        )
    return "\n".join([*lines, f"next:    encapnet train --recipe=h_imagenet --data_dir={out}"])
