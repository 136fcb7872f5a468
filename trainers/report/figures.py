"""The report's pictures, drawn by matplotlib without a display. Text in them is never read as mathematics or markup."""

import base64
import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imsave

_TRAINING, _VALIDATION = "#3b6fb6", "#d1622b"
_MOST_LABELLED = 40  # classes; beyond, names would overlap


def curves(metrics, best_epoch: int) -> str:
    """Loss and accuracy against the epoch, training and validation.

    Args:
        metrics: rows of metrics.jsonl.
        best_epoch: marked by a line.

    Returns:
        PNG, base64.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    epochs = [row["epoch"] for row in metrics]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        marker = "o" if len(epochs) < 10 else None
        axes.plot(epochs, [row[name] for row in metrics], color=_TRAINING, marker=marker, label="training")
        axes.plot(epochs, [row[f"val_{name}"] for row in metrics], color=_VALIDATION, marker=marker, label="validation")
        axes.axvline(best_epoch, color="#8a97a6", linestyle=":", label="best epoch")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return png(figure)


def feedback(metrics, units) -> str:
    """Divergence, share of the raw divergence, and spread of each feedback unit against the epoch.

    Args:
        metrics: rows of metrics.jsonl.
        units: the units' names.

    Returns:
        PNG, base64.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    divergence, share, spread = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in metrics]
    for unit in units:
        (line,) = divergence.plot(epochs, [row[unit] for row in metrics], label=unit)
        values = [[row[f"{unit}_{key}"] for row in metrics] for key in ("divergence", "raw_divergence", "spread")]
        share.plot(epochs, np.array(values[0]) / np.maximum(values[1], 1e-12), color=line.get_color())
        spread.plot(epochs, values[2], color=line.get_color())
        spread.plot(epochs, [row[f"{unit}_raw_spread"] for row in metrics], color=line.get_color(), linestyle=":")
    share.set_yscale("log")
    for axes, name in ((divergence, "divergence in training"), (share, "share of raw divergence"), (spread, "spread")):
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return png(figure)


def agreement(rows) -> str:
    """Share and mean length of mapped lower capsules by their cosine similarity to the higher one (Fig. 2).

    Args:
        rows: rows of agreement.jsonl; one line of pictures for each layer and branch, one column for each epoch.

    Returns:
        PNG, base64.
    """
    epochs = sorted({row["epoch"] for row in rows})
    lines = list(dict.fromkeys((row["layer"], row["branch"]) for row in rows))
    cells = {(row["layer"], row["branch"], row["epoch"]): row for row in rows}
    figure = Figure(figsize=(2.6 * len(epochs) + 1, 2.2 * len(lines) + 0.4), layout="constrained")
    grid = figure.subplots(len(lines), len(epochs), squeeze=False)
    edges = np.linspace(-1, 1, len(rows[0]["share"]) + 1)
    centres, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    for line, axes_of_line in zip(lines, grid, strict=True):
        found = [cells[*line, epoch] for epoch in epochs if (*line, epoch) in cells]
        tallest = max(max(row["share"]) for row in found) * 105
        longest = max(max(row["length"]) for row in found) * 1.05 or 1
        for epoch, axes in zip(epochs, axes_of_line, strict=True):
            if (*line, epoch) not in cells:
                axes.set_axis_off()
                continue
            row = cells[*line, epoch]
            share, length = np.array(row["share"]), np.array(row["length"])
            axes.bar(centres, 100 * share, width, color="#c3cad3")
            axes.set(xlim=(-1, 1), ylim=(0, tallest))
            axes.set_title(f"{line[0]}, {line[1]}: epoch {epoch}", fontsize=8, parse_math=False)
            right = axes.twinx()
            right.plot(centres, np.where(share > 0, length, np.nan), color=_TRAINING, marker=".", markersize=4)
            right.set_ylim(0, longest)
            axes.tick_params(labelsize=7)
            right.tick_params(labelsize=7, colors=_TRAINING)
            if axes is axes_of_line[0]:
                axes.set_ylabel("share, %", fontsize=8)
            if axes is axes_of_line[-1]:
                right.set_ylabel("mean length", fontsize=8, color=_TRAINING)
    figure.supxlabel("cosine similarity", fontsize=8)
    return png(figure)


def class_losses(runs) -> str:
    """Class loss in training and validation of several runs against the epoch (Fig. 4).

    Args:
        runs: name -> rows of metrics.jsonl.

    Returns:
        PNG, base64.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    for axes, (key, title) in zip(
        figure.subplots(1, 2, sharey=True), (("class_loss", "training"), ("val_class_loss", "validation")), strict=True
    ):
        for name, rows in runs.items():
            epochs = [row["epoch"] for row in rows]
            marker = "o" if len(epochs) < 10 else None
            (line,) = axes.plot(epochs, [row[key] for row in rows], marker=marker)
            if axes.get_subplotspec().colspan.start == 0:
                line.set_label(f" {name}")  # matplotlib hides a label that begins with "_"
        axes.set(xlabel="epoch", ylabel="class loss", title=title, yscale="log")
        axes.yaxis.set_major_formatter(_plain)
        axes.yaxis.set_minor_formatter(_plain)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    legend = figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return png(figure)


def _plain(value, position) -> str:
    """0.5 rather than 5 x 10^-1; of a logarithmic axis 1, 2 and 5 are named."""
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""


def confusion(counts: np.ndarray, class_names) -> str:
    """Confusion matrix, shaded by the share of the true class.

    Args:
        counts: (true class, predicted class).
        class_names: one per class.

    Returns:
        PNG, base64.
    """
    classes = len(counts)
    labelled = classes <= _MOST_LABELLED
    side = max(4.5, min(12.0, 0.55 * classes))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, ax=axes, shrink=0.8, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true")
    if labelled:
        axes.set_xticks(range(classes), class_names, rotation=45, ha="right", parse_math=False)
        axes.set_yticks(range(classes), class_names, parse_math=False)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if share[row, column] > 0.5 else "#1d2733"
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    return png(figure)


def image(pixels: np.ndarray) -> str:
    """An image of the data set, pixel for pixel.

    Args:
        pixels: (height, width, 1 or 3) uint8.

    Returns:
        PNG, base64.
    """
    rgb = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
    buffer = io.BytesIO()
    imsave(buffer, rgb, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def png(figure) -> str:
    """A matplotlib figure as PNG, base64."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return base64.b64encode(buffer.getvalue()).decode()
