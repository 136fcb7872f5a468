"""Function that draws rows of images reconstructed after changing one component of a class capsule."""

import numpy as np

from .page import Picture
from .pictures import ROW_SCALE, image_png, image_row


def component_rows(grid: np.ndarray, values) -> list[Picture]:
    """Draw a row of reconstructed images for each component of a class capsule, to show the component's effect.

    In each row, numbers from negative to positive are added to one component. The component that changes the
    reconstruction most is the first row.

    Args:
        grid: (capsule_dim, values, height, width, channels) uint8.
        values: (values,) numbers that were added to the component.
    """
    unmoved = int(np.argmin(np.abs(values)))
    change = np.abs(grid[:, [0, -1]].astype(int) - grid[:, unmoved][:, None]).mean(axis=(1, 2, 3, 4)) / 255
    rows = []
    for i in np.argsort(-change, kind="stable"):
        row, caption = image_row(grid[i], unmoved), f"component {i}, change {change[i]:.3f}"
        alt = f"Reconstructions with component {i} moved from {values[0]:+.2f} to {values[-1]:+.2f}"
        rows.append(Picture(image_png(row), alt, caption, ROW_SCALE * row.shape[1]))
    return rows


def describe_rows(values) -> str:
    """Return the caption that explains the rows of reconstructed images drawn by `component_rows`.

    In each row, one component of the class capsule is changed.
    """
    return (
        f"Each row is the reconstruction with one component of the class capsule moved, from {values[0]:+.2f} to "
        f"{values[-1]:+.2f} in steps of {values[1] - values[0]:.2f}; the framed image in the middle has nothing moved. "
        "The rows are sorted by how much they change the image: the mean difference between its pixels, from 0 to 1, "
        "at both ends of the row."
    )
