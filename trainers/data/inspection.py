"""Table of class counts and a picture of augmented images, for checking a data set before training."""

import io

import numpy as np
from matplotlib.image import imsave

from ..config.schema import Config
from .augmentation.augment import Augmentation
from .pipeline.batches import training_batches
from .pipeline.dataset import Dataset
from .pipeline.split import Split

_MAX_CLASSES = 40  # that are listed one by one; of more, only the smallest and the largest are
_EXTREME_CLASSES = 5  # at either end
_GAP = 2  # pixels between samples
_GRID_WIDTH = 800  # pixels that small samples are enlarged towards


def class_table(dataset: Dataset) -> str:
    """Return a text table of image shapes and class counts for the training, validation and test data."""
    splits = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    names = dataset.class_names
    counts = np.stack([np.bincount(split.labels, minlength=len(names)) for split in splits.values()], axis=1)
    size = "x".join(map(str, dataset.image_shape))
    lines = [f"{dataset.name}: {len(names)} classes, images of {size} in training"]
    lines += [
        f"{name:<11}{len(split):>10,} images stored as {'x'.join(map(str, split.shape))}, "
        f"{'in memory' if isinstance(split, Split) else 'read for each batch'}"
        for name, split in splits.items()
    ]
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
    """Draw a grid of augmented training images and return it as the bytes of a PNG file.

    Args:
        dataset: the data.
        config: the configuration, for augmentation and seed.
        rows, columns: of the grid; it is smaller where the data set has fewer images.

    Returns:
        PNG file.
    """
    augmentation = Augmentation(config.augment, dataset.views, len(dataset.class_names))
    rows = max(1, min(rows, len(dataset.train) // columns))
    columns = min(columns, len(dataset.train))
    batches = training_batches(dataset.train, rows * columns, 1, config.seed, augmentation)
    images = np.round(next(iter(batches))[0].numpy()).clip(0, 255).astype(np.uint8)
    height, width, channels = images.shape[1:]
    grid = np.full((rows, height + _GAP, columns, width + _GAP, channels), 255, np.uint8)
    grid[:, :height, :, :width] = images.reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    grid = grid.reshape(rows * (height + _GAP), columns * (width + _GAP), channels)
    zoom = max(1, _GRID_WIDTH // grid.shape[1])
    grid = grid.repeat(zoom, axis=0).repeat(zoom, axis=1)
    buffer = io.BytesIO()
    imsave(buffer, np.repeat(grid, 3, axis=-1) if channels == 1 else grid, format="png")
    return buffer.getvalue()
