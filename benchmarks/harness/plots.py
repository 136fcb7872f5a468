"""Line plots of benchmark results, saved as PNG files.

They need matplotlib.
"""

from typing import NamedTuple


class Panel(NamedTuple):
    """Curves and axis labels of one plot in a figure of benchmark results.

    Attributes:
        x_label, y_label: of its axes.
        lines: legend ("" for none) -> (x values, y values).
        from_zero: whether the y axis begins at 0.
    """

    x_label: str
    y_label: str
    lines: dict
    from_zero: bool = True


def draw(path, grid):
    """Draw a grid of line plots into a PNG file, or print a message if matplotlib is not installed.

    Args:
        path: of the PNG.
        grid: rows of `Panel`s, equally many in each.
    """
    try:
        import matplotlib
    except ImportError:
        print(f"matplotlib is not installed: no {path.name}")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = 3.2 * len(grid[0]), 2.8 * len(grid)
    figure, axes = pyplot.subplots(len(grid), len(grid[0]), figsize=size, layout="constrained", squeeze=False)
    for axis, panel in zip(axes.flat, (panel for row in grid for panel in row), strict=True):
        for label, (x, y) in panel.lines.items():
            axis.plot(x, y, "o-", markersize=3, label=label)
        axis.set(xlabel=panel.x_label, ylabel=panel.y_label)
        axis.set_xlim(left=0)
        if panel.from_zero:
            highest = max((number for _, y in panel.lines.values() for number in y), default=1)
            axis.set_ylim(0, 1.08 * highest)
        axis.grid(alpha=0.3)
        if any(panel.lines):
            axis.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
