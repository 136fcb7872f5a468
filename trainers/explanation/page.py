"""Functions that render an HTML page with class scores, heat maps and reconstructions of images."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..data.picture import as_bytes
from ..evaluation.reconstructions import COMPONENT_VALUES
from ..report.component_rows import component_rows, describe_rows
from ..report.page import Bar, Picture, Section, render_page
from ..report.pictures import heat_over_image, image_png, panel
from .agreement_part import agreement_panel, agreement_part
from .explanation import Explanation

_MOST_BARS = 10  # classes
_LEAST_DROP = 0.02  # a drop of this size or less is not drawn in full colour
_HEAT_PERCENTILE = 99
_CELLS = 14  # along the longer side of a gradient that is averaged


def render_explanations(title: str, explanations: Sequence[Explanation], class_names: Sequence[str], score: str) -> str:
    """Render the HTML page that explains the class scores of images.

    Args:
        title: of the page.
        explanations: of the images.
        class_names: in the order of the labels.
        score: what a class score is, "length" or "score".
    """
    texts = [
        f"What the {score}s of the classes depend on. Each image is explained for the class in its heading, the one "
        f"of the highest {score} unless another was chosen. In the pictures, red speaks for the class and blue against."
    ]
    return render_page(title, [_section(e, class_names, score) for e in explanations], texts)


def _section(explanation: Explanation, class_names, score) -> Section:
    """Return the HTML page section that explains a class score of one image."""
    name, label = class_names[explanation.label], explanation.label
    title = f"{explanation.name}: {name}, {score} {explanation.scores[label]:.2f}"
    best = int(explanation.scores.argmax())
    texts = []
    if best != label:
        texts.append(f"The network's answer is {class_names[best]}, {score} {explanation.scores[best]:.2f}.")
    parts = [_reconstruction_part(explanation, score, name)]
    if explanation.agreement is not None:
        parts.append(agreement_part(explanation.agreement, explanation.image, name))
    return Section(
        title,
        texts=texts,
        pictures=_panels(explanation, score),
        layout="panels",
        bars=_bars(explanation, class_names),
        parts=[part for part in parts if part is not None],
    )


def _panels(explanation: Explanation, score: str) -> list[Picture]:
    """Draw an image and its heat maps based on gradients, occlusion and capsule agreement."""
    pixels = np.round(np.clip(explanation.image, 0, 255)).astype(np.uint8)
    gradient, drop = _mean_of_cells(explanation.saliency), explanation.occlusion
    largest_gradient = np.percentile(np.abs(gradient), _HEAT_PERCENTILE)
    largest_drop = max(np.abs(drop).max(), _LEAST_DROP)
    panels = [
        Picture(image_png(panel(pixels)), explanation.name, "What the network sees"),
        Picture(
            image_png(heat_over_image(pixels, gradient, largest_gradient, smooth=gradient.shape != drop.shape)),
            f"Gradient of the {score} over the image",
            f"Gradient. Red: a brighter pixel would raise the {score}; blue: lower it",
        ),
        Picture(
            image_png(heat_over_image(pixels, drop, largest_drop, smooth=True)),
            f"Change of the {score} where a patch hides the image",
            f"Hidden by a patch. Red: the {score} falls, by up to {max(drop.max(), 0):.2f}; blue: it rises, by up to "
            f"{max(-drop.min(), 0):.2f}",
        ),
    ]
    return panels if explanation.agreement is None else [*panels, *agreement_panel(explanation.agreement, pixels)]


def _mean_of_cells(heat: np.ndarray) -> np.ndarray:
    """Downsample a heat map by averaging, so that its longer side has 14 cells.

    Strided convolutions make a checkerboard of the gradient, in which nothing can be seen.

    Args:
        heat: (height, width).

    Returns:
        (rows, columns) means; maps of at most 16 pixels are unchanged.
    """
    side = max(heat.shape)
    if side <= _CELLS + 2:
        return heat
    rows, columns = (max(1, round(n * _CELLS / side)) for n in heat.shape)
    picture = Image.fromarray(heat.astype("float32"))
    return np.asarray(picture.resize((columns, rows), Image.Resampling.BOX))


def _bars(explanation: Explanation, class_names) -> list[Bar]:
    """Create a list of chart bars that show the highest class scores of an image.

    All classes have a bar if there are few. The bar of the explained class is always among them.
    """
    scores = explanation.scores
    longest = max(1.0, scores.max())  # of bars; scores of some networks are no probabilities
    shown: Sequence[int] = range(len(scores))
    if len(scores) > _MOST_BARS:
        order = np.argsort(-scores, kind="stable")[:_MOST_BARS]
        shown = list(order) if explanation.label in order else [*order[:-1], explanation.label]
    return [
        Bar(class_names[i], float(max(scores[i] / longest, 0)), f"{scores[i]:.3f}", marked=i == explanation.label)
        for i in shown
    ]


def _reconstruction_part(explanation: Explanation, score: str, name: str) -> Section | None:
    """Return the HTML page section with the decoder's reconstruction of an image.

    The section says how to add a decoder if there is none. None for a network without class capsules.
    """
    if explanation.grid is None or explanation.reconstruction is None:
        if explanation.agreement is None or explanation.agreement.cosine is None:  # there are no class capsules
            return None
        return Section(
            "Reconstruction",
            texts=[
                "This network has no decoder, which would show what the class's capsule holds. Train one with "
                "--reconstruction=dense, or add one in Python with attach_reconstruction."
            ],
        )
    image, reconstruction = explanation.image / 255, explanation.reconstruction
    error = np.mean((image - reconstruction) ** 2)
    pictures = [
        Picture(image_png(panel(as_bytes(image), smooth=True)), "The image", "The image"),
        Picture(
            image_png(panel(as_bytes(reconstruction), smooth=True)),
            f"Reconstruction from the capsule of {name}",
            f"Reconstruction from the capsule of {name}, mean squared error {error:.4f}",
        ),
    ]
    rows = component_rows(as_bytes(explanation.grid), COMPONENT_VALUES)
    components = Section("Components of the capsule", [describe_rows(COMPONENT_VALUES)], pictures=rows, layout="rows")
    return Section("Reconstruction", pictures=pictures, layout="panels", parts=[components])
