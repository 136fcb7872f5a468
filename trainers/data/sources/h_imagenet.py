"""Builder of the h-ImageNet data set, which consists of 200 ImageNet classes that are hard to recognise.

Differs from the paper: it states neither its padding nor how images without a box were cropped by hand. Here each box
becomes one image, padded by a tenth of its size; an image without a box is taken whole. Both are shrunk where a side
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
from ..pipeline.decoding import decode_stored_pixels
from ..pipeline.encoded import abbreviate
from ..pipeline.orientation import turn_upright
from .class_names import read_class_names
from .folder import list_image_files

PAPER_CLASSES = 200
PAPER_COUNTS = {"train": 255_725, "val": 17_101}
MIN_SIDE, MAX_SIDE = 50, 500  # pixels
_PADDING = 0.1  # at each side, as a fraction of the box
_WORDNET_ID = re.compile(r"n\d{8}")
_MAX_XML_BYTES = 1 << 20
_JPEG_QUALITY = 95


def build_h_imagenet(imagenet, classes_file, out, boxes=None, skip_corrupt: bool = False) -> str:
    """Build the h-ImageNet data set by cropping images of chosen ImageNet classes to the annotated bounding boxes.

    The crops are written as out/train/WNID/*.jpg and out/val/WNID/*.jpg. The recipe h_imagenet and
    `--dataset=folder` train on the result.

    Args:
        imagenet: folder with train/WNID and val/WNID.
        classes_file: file of WordNet ids, one a line.
        out: folder to create; it appears under this name when it is complete.
        boxes: folder of XML files with bounding boxes (Pascal VOC's format), named as the images are; or None.
        skip_corrupt: whether images that cannot be decoded are left out and counted, rather than refused.

    Returns:
        Summary for the user: the number of images, beside the paper's.

    Raises:
        UserError: a file or folder is missing, wrong or corrupt, and the message names it; or `out` exists.
    """
    imagenet, out = Path(imagenet), Path(out)
    ids = read_class_names(classes_file)
    if wrong := [name for name in ids if not _WORDNET_ID.fullmatch(name)]:
        raise UserError(
            f"--classes_file={classes_file}: expected WordNet ids such as n01440764. Found {abbreviate(wrong)}."
        )
    if out.exists():
        raise UserError(f"--out={out} exists already. Remove it, or name another folder.")
    files, skipped = {}, {}
    for part in PAPER_COUNTS:
        files[part], skipped[part] = _list_split(imagenet / part, ids)
    annotations = {} if boxes is None else _find_annotations(Path(boxes))
    unfinished = out.with_name(f"{out.name}.unfinished")
    try:
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"Cannot create {unfinished}: {error.strerror}. If an interrupted build left it, remove it."
        ) from None
    try:
        counts = {part: _crop_split(files[part], annotations, unfinished / part, skip_corrupt) for part in files}
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    os.replace(unfinished, out)
    return _summary(out, ids, counts, skipped)


def _list_split(folder: Path, ids: list[str]) -> tuple[list[str], Counter]:
    """List the image files of selected ImageNet classes, and count the skipped files by reason."""
    if not folder.is_dir():
        raise UserError(
            f"There is no folder {folder}: expected train and val below --imagenet, each with a folder for each class. "
            "ImageNet's validation images come unsorted; move them into one folder for each class."
        )
    if missing := [name for name in ids if not (folder / name).is_dir()]:
        raise UserError(f"{folder} has no folder for {len(missing)} of the {len(ids)} ids: {abbreviate(missing)}.")
    files: list[str] = []
    skipped: Counter = Counter()
    for name in ids:
        class_files, other_files = list_image_files(folder / name)
        skipped.update({reason: len(names) for reason, names in other_files.items()})
        if not class_files:
            reasons = "".join(f" {len(names):,} x {reason} were left out." for reason, names in other_files.items())
            raise UserError(f"The class folder {folder / name} has no images.{reasons}")
        files += class_files
    return files, skipped


def _find_annotations(folder: Path) -> dict[str, Path]:
    """Map image names to the paths of XML annotation files, found in a folder and its subfolders."""
    if not folder.is_dir():
        raise UserError(f"--boxes={folder}: there is no such folder.")
    annotations = {path.stem: path for path in sorted(folder.rglob("*.xml"))}
    if not annotations:
        raise UserError(f"--boxes={folder}: there is no XML file in this folder or below it.")
    return annotations


def _crop_split(files: list[str], annotations: dict, out: Path, skip_corrupt: bool) -> Counter:
    """Crop images to the annotated bounding boxes, and save the crops in a folder.

    Returns the counts of crops and of skipped images.
    """
    for folder in {Path(file).parent.name for file in files}:
        (out / folder).mkdir(parents=True)
    counts: Counter = Counter()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for image_counts in threads.map(lambda file: _crop_image(Path(file), annotations, out, skip_corrupt), files):
            counts.update(image_counts)
    return counts


def _crop_image(file: Path, annotations: dict, out: Path, skip_corrupt: bool) -> Counter:
    """Save one crop for each bounding box of an image, or the whole image if there is no bounding box."""
    try:
        image, orientation = decode_stored_pixels(file.read_bytes(), 3)
    except (tf.errors.InvalidArgumentError, OSError) as error:
        if skip_corrupt:
            return Counter({"corrupt": 1})
        raise UserError(
            f"{file} cannot be decoded ({str(error).splitlines()[0][:200]}). Repair or remove it, or leave such images "
            "out by --corrupt_images=skip."
        ) from None
    height, width = image.shape[:2]
    annotation = annotations.get(file.stem)
    boxes = [pad_box(box, width, height) for box in read_boxes(annotation)] if annotation else []
    counts = Counter({"with a box" if boxes else "without a box": 1})
    for i, (left, top, right, bottom) in enumerate(boxes or [(0, 0, width, height)]):
        if min(right - left, bottom - top) < MIN_SIDE:
            counts["too small"] += 1
            continue
        crop = turn_upright(image[top:bottom, left:right], orientation)
        scale = MAX_SIDE / max(right - left, bottom - top)
        if scale < 1:
            size = [max(1, round(n * scale)) for n in crop.shape[:2]]
            crop = tf.cast(tf.clip_by_value(tf.round(tf.image.resize(crop, size, antialias=True)), 0, 255), tf.uint8)
        target = out / file.parent.name / f"{file.stem}_{i}.jpg"
        target.write_bytes(tf.io.encode_jpeg(crop, quality=_JPEG_QUALITY).numpy())
        counts["crops"] += 1
    return counts


def pad_box(box: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int, int, int]:
    """Enlarge a bounding box by a margin of 10 % of the box size on each side, but not beyond the image.

    Args:
        box: (left, top, right, bottom) in pixels, right and bottom exclusive.
        width, height: of the image.
    """
    left, top, right, bottom = box
    pad_x, pad_y = (right - left) * _PADDING, (bottom - top) * _PADDING
    return (
        max(0, round(left - pad_x)),
        max(0, round(top - pad_y)),
        min(width, round(right + pad_x)),
        min(height, round(bottom + pad_y)),
    )


def read_boxes(path: Path) -> list[tuple[int, int, int, int]]:
    """Read the bounding boxes of one image from an XML annotation file in Pascal VOC format.

    Returns:
        List of (left, top, right, bottom) in pixels, right and bottom exclusive; boxes without area are left out.

    Raises:
        UserError: the file is no such annotation.
    """
    try:
        if path.stat().st_size > _MAX_XML_BYTES:
            raise ValueError("it is larger than any such file")
        root = ElementTree.fromstring(path.read_bytes())
        sides = ("xmin", "ymin", "xmax", "ymax")
        boxes = [[int(float(box.findtext(side))) for side in sides] for box in root.iter("bndbox")]  # type: ignore[arg-type]
    except (OSError, ElementTree.ParseError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no bounding box annotation: {error}.") from None
    return [(left, top, right, bottom) for left, top, right, bottom in boxes if right > left and bottom > top]


def _summary(out: Path, ids: list[str], counts: dict, skipped: dict) -> str:
    lines = [f"{out}: {len(ids)} classes (the paper has {PAPER_CLASSES})"]
    for part, count in counts.items():
        other_reasons = "".join(f", {n:,} x {reason}" for reason, n in skipped[part].items())
        lines.append(
            f"{part:<6}{count['crops']:>9,} images (the paper has {PAPER_COUNTS[part]:,}), "
            f"from {count['with a box']:,} with boxes and {count['without a box']:,} without; "
            f"left out: {count['too small']:,} smaller than {MIN_SIDE} pixels, {count['corrupt']:,} corrupt"
            f"{other_reasons}"
        )
    return "\n".join([*lines, f"next:    encapnet train --recipe=h_imagenet --data_dir={out}"])
