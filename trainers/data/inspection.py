"""What `encapnet data check` shows: counts as text, samples as a picture."""

import io

import numpy as np
from matplotlib.image import imsave

from .augmentation.augment import Augmentation
from .pipeline.batches import training_batches

_MOST_CLASSES = 40  # printed one by one; of more, only the smallest and the largest
_GAP = 2


def table(dataset) -> str:
    """Shapes and class counts of the three splits."""
    splits = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    names = dataset.class_names
    counts = np.stack([np.bincount(split.labels, minlength=len(names)) for split in splits.values()], axis=1)
    size = "x".join(map(str, dataset.image_shape))
    lines = [f"{dataset.name}: {len(names)} classes, images of {size} in training"]
    lines += [
        f"{name:<11}{len(split):>10,} images stored as {'x'.join(map(str, split.shape))}, "
        f"{'in memory' if hasattr(split, 'images') else 'read as wanted'}"
        for name, split in splits.items()
    ]
    shown = range(len(names))
    if len(names) > _MOST_CLASSES:
        order = np.argsort(counts[:, 0], kind="stable")
        shown = [*order[:5], *order[-5:]]
        lines.append("the five smallest and the five largest classes:")
    width = max(len(names[i]) for i in shown)
    lines.append(f"{'class':<{width}}  {'training':>10}  {'validation':>10}  {'test':>10}")
    lines += [f"{names[i]:<{width}}  " + "  ".join(f"{count:>10,}" for count in counts[i]) for i in shown]
    return "\n".join(lines)


def sample_grid(dataset, config, rows: int, columns: int) -> bytes:
    """A picture of the first training images as the network sees them.

    Args:
        dataset: the data.
        config: augmentation and seed.
        rows, columns: of the grid; fewer where there are fewer images.

    Returns:
        PNG.
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
    zoom = max(1, 800 // grid.shape[1])
    grid = grid.repeat(zoom, axis=0).repeat(zoom, axis=1)
    buffer = io.BytesIO()
    imsave(buffer, np.repeat(grid, 3, axis=-1) if channels == 1 else grid, format="png")
    return buffer.getvalue()
