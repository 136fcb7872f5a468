"""Table of class counts and a picture of augmented images, for checking a data set before training."""

import io
import math
import textwrap

import numpy as np
from matplotlib.figure import Figure

from ..config.schema import Config
from ..runs.machine_memory import refuse_beyond_memory
from .picture import as_rgb
from .pipeline.batches import training_batches
from .pipeline.composed_split import ComposedSplit
from .pipeline.dataset import AnySplit, Dataset
from .pipeline.split import Split

_MAX_CLASSES = 40  # that are listed one by one; of more, only the smallest and the largest are
_EXTREME_CLASSES = 5  # at either end
_TILE_INCHES, _DPI = 0.85, 120  # of a sample in the picture
_TILE_PITCH, _LABEL_HEIGHT = 1.08, 0.44  # in widths of a sample: to the next one, and of the text below
_LABEL_CHARACTERS = 14  # in a line below a sample


def class_table(dataset: Dataset) -> str:
    """Return a plain-text table of the number of images of each class in the training, validation and test data.

    The lines above the table give the size and the storage of the images.
    """
    splits = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    names = dataset.class_names
    counts = np.stack([np.bincount(np.ravel(split.labels), minlength=len(names)) for split in splits.values()], axis=1)
    size = "x".join(map(str, dataset.image_shape))
    lines = [f"{dataset.name}: {len(names)} classes, images of {size} in training"]
    lines += [f"{name:<11}{len(split):>10,} images {_storage(split)}" for name, split in splits.items()]
    rows = list(range(len(names)))
    if len(names) > _MAX_CLASSES:
        order = np.argsort(counts[:, 0], kind="stable").tolist()
        rows = [*order[:_EXTREME_CLASSES], *order[-_EXTREME_CLASSES:]]
        lines.append("the five smallest and the five largest classes:")
    width = max(len(names[row]) for row in rows)
    lines.append(f"{'class':<{width}}  {'training':>10}  {'validation':>10}  {'test':>10}")
    lines += [f"{names[row]:<{width}}  " + "  ".join(f"{count:>10,}" for count in counts[row]) for row in rows]
    return "\n".join(lines)


def sample_grid(dataset: Dataset, config: Config, rows: int, columns: int) -> bytes:
    """Draw a grid of augmented training images, labelled with their classes, and return a PNG file as bytes.

    Args:
        dataset: the data.
        config: the configuration, for augmentation and seed.
        rows, columns: of the grid. It is smaller where the data set has fewer images, and has two thirds of the columns
            where names of classes are long.

    Returns:
        PNG file.
    """
    augmentation = dataset.augmentation(config.augment)
    zoom = 1.5 if max(map(len, dataset.class_names)) > _LABEL_CHARACTERS else 1.0
    columns = min(round(columns / zoom), len(dataset.train))
    rows = max(1, min(rows, len(dataset.train) // columns))
    refuse_beyond_memory(
        4 * rows * columns * math.prod(dataset.image_shape), "The samples need", "Choose a smaller --image_size."
    )
    batches = training_batches(dataset.train, rows * columns, 1, config.seed, augmentation)
    images, labels = (array.numpy() for array in next(iter(batches)))
    pixels = np.round(images).clip(0, 255).astype(np.uint8)
    tile = pixels.shape[1] / pixels.shape[2]  # height, where the width is 1
    row_height = tile + _LABEL_HEIGHT / zoom
    inches = zoom * _TILE_INCHES
    figure = Figure(figsize=(columns * inches, rows * row_height * inches + 0.5), layout="constrained")
    axes = figure.subplots()
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        row, column = divmod(number, columns)
        left, top = column * _TILE_PITCH, row * row_height
        axes.imshow(as_rgb(image), extent=(left, left + 1, top + tile, top))
        text = _describe_label(label, dataset.class_names, round(zoom * _LABEL_CHARACTERS))
        axes.text(left + 0.5, top + tile + 0.04, text, ha="center", va="top", fontsize=7, parse_math=False)
    axes.set(xlim=(0, columns * _TILE_PITCH), ylim=(rows * row_height, 0))
    axes.set_axis_off()
    title = f"{dataset.name}: images as the network sees them in training, with their classes"
    axes.set_title(f"{title} ({image_flags(config)})", fontsize=9, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def image_flags(config: Config) -> str:
    """Format a configuration's augmentation settings as command-line flags, such as "--augment=affine"."""
    compose = "" if config.compose == "none" else f"--compose={config.compose} "
    return f"{compose}--augment={','.join(config.augment)}"


def _storage(split: AnySplit) -> str:
    """Describe how the images of a data split are stored, such as "stored as 28x28x1, in memory"."""
    if isinstance(split, ComposedSplit):
        size = "x".join(map(str, split.shape))
        return f"of {size}, composed of {len(split.base):,} images {_storage(split.base)}"
    place = "in memory" if isinstance(split, Split) else "read for each batch"
    return f"stored as {'x'.join(map(str, split.shape))}, {place}"


def _describe_label(label, class_names, characters: int) -> str:
    """Format an image's label as a caption with one or two class names.

    Overlapping objects and images mixed by MixUp or CutMix have two names. The caption has at most two lines.
    """
    if np.ndim(label) == 0:
        return "\n".join(textwrap.wrap(class_names[label], characters, max_lines=2, placeholder="…"))
    if np.sum(label) > 1.5:  # two objects
        return "\n".join(_shorten(class_names[i], characters) for i in np.flatnonzero(label))
    largest = [i for i in np.argsort(label)[::-1][:2] if label[i] >= 0.005]
    return "\n".join(f"{_shorten(class_names[i], characters - len(' 100%'))} {label[i]:.0%}" for i in largest)


def _shorten(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
