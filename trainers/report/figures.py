"""Matplotlib helpers for the pictures in HTML reports: colours, axis styles and PNG output."""

import base64
import io

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BLUE, ORANGE, GREY, DARK = "#3b6fb6", "#d1622b", "#8a97a6", "#1d2733"
TRAINING_COLOUR, VALIDATION_COLOUR = BLUE, ORANGE
_FEW_EPOCHS = 10  # below this number each epoch is marked by a dot


def style_axes(axes):
    """Draw a light grid in a plot, and hide the upper and right borders of the plot."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def style_epoch_axes(axes):
    """Label the x-axis of a plot with "epoch", and draw integer ticks and a light grid."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))  # a run of one epoch has one tick
    style_axes(axes)


def epoch_marker(epochs: list) -> str | None:
    """Return a matplotlib marker for a curve with few points, or None for a longer curve."""
    return "o" if len(epochs) < _FEW_EPOCHS else None


def show_literally(legend):
    """Show dollar signs in a matplotlib legend as plain characters, not as mathematical notation."""
    for text in legend.get_texts():
        text.set_parse_math(False)


def png(figure: Figure) -> str:
    """Encode a matplotlib figure as a base64 PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return base64.b64encode(buffer.getvalue()).decode()
