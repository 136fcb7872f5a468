"""Helpers for the pictures of reports: colours, the style of axes, and PNG output without a display."""

import base64
import io

from matplotlib.figure import Figure

BLUE, ORANGE, GREY, DARK = "#3b6fb6", "#d1622b", "#8a97a6", "#1d2733"
TRAINING_COLOUR, VALIDATION_COLOUR = BLUE, ORANGE
_FEW_EPOCHS = 10  # below this number each epoch is marked by a dot


def style_axes(axes):
    """Draw a light grid and remove the upper and the right border of a plot."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def style_epoch_axes(axes):
    """Style a plot against the epoch, with whole numbers at its x axis."""
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    style_axes(axes)


def epoch_marker(epochs: list) -> str | None:
    """Return the marker of a curve over epochs, which is a dot for few epochs and None for many."""
    return "o" if len(epochs) < _FEW_EPOCHS else None


def show_literally(legend):
    """Show the labels of a legend literally, where matplotlib would read dollar signs as mathematics."""
    for text in legend.get_texts():
        text.set_parse_math(False)


def png(figure: Figure) -> str:
    """Return a matplotlib figure as a base64 PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return base64.b64encode(buffer.getvalue()).decode()
