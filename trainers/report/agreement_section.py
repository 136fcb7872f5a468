"""Section of a training report that shows the similarity between capsules and the votes of lower capsules.

The similarity is the cosine between a higher capsule and the votes of the lower capsules.
"""

import numpy as np
from matplotlib.figure import Figure

from .figures import BLUE, png
from .page import Picture, Section
from .run_record import RunRecord

_BAR_COLOUR = "#c3cad3"
_HEADROOM = 1.05  # of an axis above its largest value
_WIDTH, _ROW_HEIGHT = 10, 2.6  # inches, of the picture and of one of its rows
_COLUMNS = 4  # at least; an epoch has one


def agreement_section(record: RunRecord) -> Section | None:
    """Return the training report section with histograms of the similarity between capsules and votes.

    Return None for a network without capsules.
    """
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
    figure = Figure(figsize=(_WIDTH, _ROW_HEIGHT * len(branches)), layout="constrained")
    parts = figure.subfigures(len(branches), 1, squeeze=False)[:, 0]
    for (layer, branch), part in zip(branches, parts, strict=True):
        part.suptitle(f"{layer}, {branch}", fontsize=11, x=0.01, ha="left", parse_math=False)
        of_branch = [histograms[layer, branch, epoch] for epoch in epochs if (layer, branch, epoch) in histograms]
        max_share = max(max(row["share"]) for row in of_branch) * 100 * _HEADROOM
        max_length = max(max(row["length"]) for row in of_branch) * _HEADROOM or 1
        plots = part.subplots(1, max(_COLUMNS, len(epochs)), squeeze=False)[0]
        last = plots[len(epochs) - 1]
        for axes in plots[len(epochs) :]:
            axes.set_axis_off()  # a run of few epochs has pictures of the same size
        for epoch, axes in zip(epochs, plots, strict=False):
            if (layer, branch, epoch) not in histograms:
                axes.set_axis_off()
                continue
            length_axes = _draw_histogram(axes, histograms[layer, branch, epoch])
            axes.set_title(f"epoch {epoch}", fontsize=10)
            axes.set_ylim(0, max_share)
            length_axes.set_ylim(0, max_length)
            if axes is plots[0]:
                axes.set_ylabel("share, %", fontsize=10)
                axes.set_xlabel("cosine similarity", fontsize=10)
            else:
                axes.set_yticklabels([])
            if axes is last:
                length_axes.set_ylabel("mean length", fontsize=10, color=BLUE)
            else:
                length_axes.set_yticklabels([])
    return png(figure)


def _draw_histogram(axes, row: dict):
    """Draw a histogram of cosine similarities between capsules and votes, and the mean vote length in each bin."""
    share, length = np.array(row["share"]), np.array(row["length"])
    edges = np.linspace(-1, 1, len(share) + 1)
    centres, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    axes.bar(centres, 100 * share, width, color=_BAR_COLOUR)
    axes.set(xlim=(-1, 1), xticks=(-1, 0, 1))
    axes.tick_params(labelsize=9)
    length_axes = axes.twinx()
    length_axes.plot(centres, np.where(share > 0, length, np.nan), color=BLUE, marker=".", markersize=4)
    length_axes.tick_params(labelsize=9, colors=BLUE)
    return length_axes
