"""Training report section on the cosine similarity between higher capsules and the votes of lower capsules."""

import numpy as np
from matplotlib.figure import Figure

from .figures import BLUE, png
from .page import Picture, Section
from .run_record import RunRecord

_BAR_COLOUR = "#c3cad3"
_HEADROOM = 1.05  # of an axis above its largest value


def agreement_section(record: RunRecord) -> Section | None:
    """Return the report section on similarity between capsules and votes, or None for a network without capsules."""
    if not record.agreement:
        return None
    texts = [
        "Cosine similarity between a higher capsule and its mapped lower capsules, on validation images. Grey bars: "
        "the share of the lower capsules that have this similarity. Blue: their mean length. In the last layer the "
        "higher capsule is that of the image's own class. A capsule of length 0 has similarity 0. Each row of pictures "
        "has one scale (Figure 2 of the paper)."
    ]
    picture = Picture(_draw_agreement(record.agreement), "Agreement of lower with higher capsules at some epochs")
    return Section("Agreement of capsules", texts=texts, pictures=[picture])


def _draw_agreement(rows: list[dict]) -> str:
    """Draw histograms of the cosine similarity between higher capsules and the votes of lower capsules.

    Args:
        rows: rows of agreement.jsonl. Each layer and branch gets a row of plots, each epoch a column.

    Returns:
        PNG, base64.
    """
    epochs = sorted({row["epoch"] for row in rows})
    branches = list(dict.fromkeys((row["layer"], row["branch"]) for row in rows))
    histograms = {(row["layer"], row["branch"], row["epoch"]): row for row in rows}
    figure = Figure(figsize=(2.6 * len(epochs) + 1, 2.2 * len(branches) + 0.4), layout="constrained")
    grid = figure.subplots(len(branches), len(epochs), squeeze=False)
    for branch, plots in zip(branches, grid, strict=True):
        of_branch = [histograms[*branch, epoch] for epoch in epochs if (*branch, epoch) in histograms]
        max_share = max(max(row["share"]) for row in of_branch) * 100 * _HEADROOM
        max_length = max(max(row["length"]) for row in of_branch) * _HEADROOM or 1
        for epoch, axes in zip(epochs, plots, strict=True):
            if (*branch, epoch) not in histograms:
                axes.set_axis_off()
                continue
            length_axes = _draw_histogram(axes, histograms[*branch, epoch])
            axes.set_title(f"{branch[0]}, {branch[1]}: epoch {epoch}", fontsize=8, parse_math=False)
            axes.set_ylim(0, max_share)
            length_axes.set_ylim(0, max_length)
            if axes is plots[0]:
                axes.set_ylabel("share, %", fontsize=8)
            if axes is plots[-1]:
                length_axes.set_ylabel("mean length", fontsize=8, color=BLUE)
    figure.supxlabel("cosine similarity", fontsize=8)
    return png(figure)


def _draw_histogram(axes, row: dict):
    """Draw a histogram of cosine similarities between capsules and votes, and the mean vote length in each bin."""
    share, length = np.array(row["share"]), np.array(row["length"])
    edges = np.linspace(-1, 1, len(share) + 1)
    centres, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    axes.bar(centres, 100 * share, width, color=_BAR_COLOUR)
    axes.set_xlim(-1, 1)
    axes.tick_params(labelsize=7)
    length_axes = axes.twinx()
    length_axes.plot(centres, np.where(share > 0, length, np.nan), color=BLUE, marker=".", markersize=4)
    length_axes.tick_params(labelsize=7, colors=BLUE)
    return length_axes
