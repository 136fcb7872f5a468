"""Section of the training report that shows how Sinkhorn-divergence regularisers behaved during training.

It warns of feature extractors whose output collapsed.
"""

import numpy as np
from matplotlib.figure import Figure

from encapnet_tf.callbacks.collapse_watch import COLLAPSE_RATIO

from .figures import png, style_epoch_axes
from .page import Picture, Section
from .run_record import RunRecord

_RAW_DIVERGENCE = "_raw_divergence"  # suffix of a unit's name in metrics.jsonl
_SMALLEST_DIVERGENCE = 1e-12  # keeps the ratio of divergences finite


def feedback_section(record: RunRecord) -> Section | None:
    """Return the training report section on Sinkhorn-divergence regularisers, or None if the network has none.

    It shows the units' divergences.
    """
    units = [key.removesuffix(_RAW_DIVERGENCE) for key in record.metrics[0] if key.endswith(_RAW_DIVERGENCE)]
    if not units:
        return None
    texts = [
        "Each feedback agreement unit's divergence in training; and on validation images, the divergence of the "
        "extracted features as a share of the divergence of the raw features, the mean cost between the extracted "
        "features of two images (dotted: between their raw features), and the share of the transport plan's mass that "
        "stays with the same image, which is small where the divergence hardly tells one image from another."
    ]
    texts += [text for unit in units if (text := _collapse_warning(record.metrics, unit))]
    picture = _draw_divergences(record.metrics, units)
    return Section("Feedback agreement", texts=texts, pictures=[Picture(picture, "Divergences of the feedback units")])


def _collapse_warning(metrics: list[dict], unit: str) -> str | None:
    """Return a warning if a Sinkhorn-divergence regulariser's feature extractor collapsed to a constant, else None.

    Then the divergence of its output is below `COLLAPSE_RATIO` times that of the raw features.
    """
    ratios = _divergence_ratios(metrics, unit)
    collapse_epochs = [row["epoch"] for row, ratio in zip(metrics, ratios, strict=True) if ratio < COLLAPSE_RATIO]
    if not collapse_epochs:
        return None
    return (
        f"Warning: the extractor of {unit} collapsed at epoch {collapse_epochs[0]}: the divergence of the extracted "
        f"features fell to {min(ratios):.1g} of that of the raw features, which still differ. From there on the unit "
        "regularises little; --extractor_objective=adversarial works against a collapse."
    )


def _divergence_ratios(metrics: list[dict], unit: str) -> list[float]:
    """Return the ratio of the Sinkhorn divergence after feature extraction to that before, for each epoch.

    The raw features are the inputs of the feature extractors.
    """
    return [row[f"{unit}_divergence"] / max(row[f"{unit}{_RAW_DIVERGENCE}"], _SMALLEST_DIVERGENCE) for row in metrics]


def _draw_divergences(metrics: list[dict], units: list[str]) -> str:
    """Plot statistics of each Sinkhorn-divergence regulariser, such as the divergence, over the epochs.

    Returns:
        PNG, base64.
    """
    has_paired_mass = all(f"{unit}_paired_mass" in metrics[0] for unit in units)  # not in runs of version 0.1
    figure = Figure(figsize=(10, 6.6) if has_paired_mass else (10, 3.8), layout="constrained")
    divergence, share, spread, *others = figure.subplots(*((2, 2) if has_paired_mass else (1, 3))).flat
    epochs = [row["epoch"] for row in metrics]
    for unit in units:
        (line,) = divergence.plot(epochs, [row[unit] for row in metrics], label=unit)
        colour = line.get_color()
        share.plot(epochs, np.array(_divergence_ratios(metrics, unit)), color=colour)
        spread.plot(epochs, [row[f"{unit}_spread"] for row in metrics], color=colour)
        spread.plot(epochs, [row[f"{unit}_raw_spread"] for row in metrics], color=colour, linestyle=":")
        for paired_mass in others:
            paired_mass.plot(epochs, [row[f"{unit}_paired_mass"] for row in metrics], color=colour)
    share.set_yscale("log")
    for paired_mass in others:
        paired_mass.set_ylim(0, 1)  # a scale of its own would make rounding errors of a uniform plan look like a trend
    titles = ("divergence in training", "share of raw divergence", "spread", "plan's mass on true pairs")
    for axes, title in zip((divergence, share, spread, *others), titles, strict=False):
        axes.set_title(title)
        style_epoch_axes(axes)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return png(figure)
