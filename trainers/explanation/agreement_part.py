"""HTML page section that shows which lower capsules contribute most to a class capsule."""

import numpy as np

import encapnet_tf as en

from ..report.page import Bar, Picture, Section
from ..report.pictures import heat_over_image, image_png

_MOST_CAPSULES = 4


def agreement_part(agreement: en.explain.Agreement, image: np.ndarray, name: str) -> Section:
    """Return an HTML page section that shows which lower capsules contribute most to a class capsule.

    Args:
        agreement: of one image.
        image: (height, width, channels) float from 0 to 255.
        name: of the class.
    """
    contribution = agreement.contribution[0]
    by_capsule = contribution if agreement.centres is None else contribution.sum(axis=(0, 1))
    total = max(float(contribution.sum()), 1e-12)
    order = np.argsort(-by_capsule, kind="stable")[:_MOST_CAPSULES]
    texts = [_describe(agreement, name)]
    if not _lies_on_map(agreement):
        texts.append("The lower capsules that add most, with their share of the sum:")
        bars = [
            Bar(f"capsule {i}", float(np.clip(by_capsule[i] / total, 0, 1)), f"{by_capsule[i] / total:.0%}")
            for i in order
        ]
        return Section("Lower capsules that agree", texts, bars=bars)
    texts.append("The strongest ones, where they lie, with their share of the sum; each map has its own scale:")
    pixels = np.round(np.clip(image, 0, 255)).astype(np.uint8)
    pictures = [
        _map(pixels, contribution[..., i], agreement.centres, f"Capsule {i}: {by_capsule[i] / total:.0%}")
        for i in order
    ]
    return Section("Lower capsules that agree", texts, pictures=pictures, layout="panels")


def agreement_panel(agreement: en.explain.Agreement, pixels: np.ndarray) -> list[Picture]:
    """Draw a heat map of the lower capsules' contributions to a class, if these capsules have spatial positions.

    Return a list that holds the heat map, or an empty list.

    Args:
        agreement: of one image.
        pixels: (height, width, channels) uint8.
    """
    if not _lies_on_map(agreement):
        return []
    caption = "Lower capsules. Red: their votes lengthen the class's capsule; blue: shorten it"
    if agreement.cosine is None:
        caption = "Lower capsules. Red: they are routed to the class"
    return [_map(pixels, agreement.contribution[0].sum(axis=-1), agreement.centres, caption)]


def _lies_on_map(agreement: en.explain.Agreement) -> bool:
    """Return whether the lower capsules lie on a feature map with more than one position."""
    return agreement.centres is not None and max(map(len, agreement.centres)) > 1


def _describe(agreement: en.explain.Agreement, name: str) -> str:
    """Describe in words how many lower capsules vote for a class capsule."""
    count = agreement.coupling[0].size
    if agreement.cosine is None:
        return (
            f"Each of the {count:,} lower capsules is divided among the classes. The parts that are routed to {name}, "
            "weighted by the activations of the capsules, sum to its score."
        )
    cosine, contribution = agreement.cosine[0].ravel(), agreement.contribution[0].ravel()
    agreeing = int((cosine > 0.5).sum())
    sums = np.sort(contribution)[::-1].cumsum()
    half = int(np.argmax(sums >= contribution.sum() / 2)) + 1
    strongest = "strongest makes" if half == 1 else f"{half:,} strongest make"
    return (
        f"{agreeing:,} of the {count:,} lower capsules vote along the capsule of {name} (cosine above 0.5), "
        f"{int((cosine < -0.5).sum()):,} against it. The {strongest} up half of the sum of the votes."
    )


def _map(pixels, values, centres, caption: str) -> Picture:
    """Overlay an image with a heat map of the lower capsules' contributions to a class score.

    Each map position is drawn at the pixels nearest to its centre.

    Args:
        pixels: (height, width, channels) uint8.
        values: (map height, map width).
        centres: pixel coordinates of the map's rows and columns.
        caption: of the picture.
    """
    (rows, has_row), (columns, has_column) = map(_nearest, centres, pixels.shape[:2])
    heat = np.where(np.outer(has_row, has_column), values[np.ix_(rows, columns)], 0.0)
    return Picture(image_png(heat_over_image(pixels, heat, np.abs(values).max())), caption, caption)


def _nearest(centres, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Assign each row of image pixels to the nearest feature-map row within half a grid step.

    Return the index of the nearest feature-map row, and a mask that is false for rows too far from all of them.
    Columns are treated in the same way.
    """
    distance = np.abs(np.arange(size)[:, None] - centres)
    step = centres[1] - centres[0] if len(centres) > 1 else size
    return distance.argmin(axis=1), distance.min(axis=1) <= max(step, 1) / 2
