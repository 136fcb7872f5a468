"""Computation of heat maps, reconstructions and capsule contributions that explain a class score."""

from dataclasses import dataclass

import keras
import numpy as np

import encapnet_tf as en
from encapnet_tf.keras_private import layer_call

from ..evaluation.reconstructions import COMPONENT_VALUES, decoder_of
from ..runs.errors import UserError

_SAMPLES = 8  # noisy copies over which a gradient is averaged
_NOISE = 0.05


@dataclass(frozen=True)
class Explanation:
    """Class scores of one image, with heat maps and reconstructions that explain the score of one class.

    Attributes:
        name: of the image, such as its path.
        image: (height, width, channels) float from 0 to 255, as the network sees it.
        scores: (classes,).
        label: the explained class.
        saliency: (height, width), gradient of the class's score with respect to the brightness of each pixel.
        occlusion: (height, width), drop of the score when a patch hides a pixel.
        agreement: of the lower capsules with the class capsule; None for networks without class capsules.
        reconstruction: (height, width, channels) from 0 to 1; None for networks without a decoder.
        grid: (capsule_dim, values, height, width, channels) from 0 to 1, reconstructions with one component moved by
            each of `COMPONENT_VALUES`; None for networks without a decoder.
    """

    name: str
    image: np.ndarray
    scores: np.ndarray
    label: int
    saliency: np.ndarray
    occlusion: np.ndarray
    agreement: en.explain.Agreement | None
    reconstruction: np.ndarray | None
    grid: np.ndarray | None


def explain_image(model: keras.Model, name: str, image: np.ndarray, label: int | None = None) -> Explanation:
    """Compute the heat maps and reconstructions that explain a model's score of one class for an image.

    Args:
        model: a functional image classifier that receives pixels from 0 to 255.
        name: of the image.
        image: (height, width, channels).
        label: the class; None is the class of highest score.

    Raises:
        UserError: the scores are not finite numbers.
    """
    images = np.asarray(image, "float32")[None]
    scores = np.asarray(model(images, training=False), "float32")[0]
    if not np.isfinite(scores).all():
        raise UserError(f"{name}: the scores are not finite numbers.")
    label = int(scores.argmax()) if label is None else label
    gradient = en.explain.saliency(model, images, label, _SAMPLES, noise=_NOISE)
    has_decoder = decoder_of(model) is not None
    return Explanation(
        name=name,
        image=images[0],
        scores=scores,
        label=label,
        saliency=gradient[0].sum(axis=-1),
        occlusion=en.explain.occlusion(model, images, label)[0],
        agreement=_agreement(model, images, label),
        reconstruction=en.reconstruct(model, images, labels=[label])[0] if has_decoder else None,
        grid=en.explain.component_grid(model, images, [label], COMPONENT_VALUES)[0] if has_decoder else None,
    )


def _agreement(model, images, label) -> en.explain.Agreement | None:
    try:
        return en.explain.agreement(model, images, label)
    except ValueError:  # no layer computes class capsules
        return None


def score_name(model: keras.Model) -> str:
    """Return "length" if a model's class scores are capsule lengths, otherwise "score", for use in captions."""
    layer, _, _ = layer_call(model.outputs[0])
    return "length" if isinstance(layer, en.layers.CapsuleLength) else "score"
