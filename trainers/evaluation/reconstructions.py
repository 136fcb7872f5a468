"""Reconstructions of test images by the decoder of a trained model.

They are computed once, stored with the run in an .npz file, and read by the report.
"""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

import encapnet_tf as en

from ..data import AnySplit
from ..data.augmentation.views import Views
from ..data.picture import as_bytes, shrink
from ..data.pipeline.batches import evaluation_batches
from ..runs.errors import UserError
from .correctness import are_correct, label_matrix
from .predictions import Predictions, saved_model

COMPONENT_VALUES = tuple(i / 20 for i in range(-5, 6))  # Fig. 4 of Sabour et al. (2017): -0.25 to 0.25 in steps of 0.05
_IMAGES = 10  # that are reconstructed, of different classes
_GRIDS = 4  # of which each component is moved, too


@dataclass(frozen=True)
class Reconstructions:
    """Test images, their reconstructions, and reconstructions with one capsule component changed.

    Images are as the network sees them, but no larger than 64 pixels.

    Attributes:
        index: (n,) indices of the images in the test split.
        images: (n, height, width, channels) uint8.
        reconstructions: (n, height, width, channels) uint8, from the capsules of the predicted classes.
        errors: (n,) mean squared errors of the reconstructions, of pixels from 0 to 1.
        values: (values,) numbers that are added to a component.
        grids: (m, capsule_dim, values, height, width, channels) uint8, of the first m images.
    """

    index: np.ndarray
    images: np.ndarray
    reconstructions: np.ndarray
    errors: np.ndarray
    values: np.ndarray
    grids: np.ndarray

    @classmethod
    def of(cls, model_path: Path, split: AnySplit, views: Views, predictions: Predictions) -> "Reconstructions | None":
        """Reconstruct one test image per class, or return None for a model without a decoder.

        Of many classes some are taken, evenly spaced.

        Args:
            model_path: file of the model.
            split: the test images.
            views: the part of an image that the network sees.
            predictions: those of the model on the test images.

        Raises:
            UserError: the file is missing or not a model.
        """
        model = saved_model(model_path)
        if (decoder := decoder_of(model)) is None:
            return None
        index = _one_of_each_class(predictions)
        ((images, _),) = evaluation_batches(split.take(index), len(index), views.test).as_numpy_iterator()
        rows = label_matrix(predictions.predicted[index], predictions.lengths.shape[1]).astype("float32")
        reconstructions = en.reconstruct(model, images, labels=rows)
        grids = en.explain.component_grid(model, images[:_GRIDS], rows[:_GRIDS], COMPONENT_VALUES)
        pixels = images / decoder.max_pixel
        return cls(
            index=index,
            images=shrink(as_bytes(pixels)),
            reconstructions=shrink(as_bytes(reconstructions)),
            errors=np.mean((pixels - reconstructions) ** 2, axis=(1, 2, 3)),
            values=np.array(COMPONENT_VALUES),
            grids=shrink(as_bytes(grids)),
        )

    def save(self, path: Path) -> None:
        """Save images and reconstructions to an .npz file."""
        np.savez_compressed(path, **self.__dict__)

    @classmethod
    def load(cls, path: Path) -> "Reconstructions":
        """Load images and reconstructions from an .npz file.

        Raises:
            UserError: the file is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(**arrays)
        except Exception as error:  # a damaged file can raise OSError, KeyError and errors of zipfile and zlib
            raise UserError(f"{path} cannot be read: {error}.") from None


def decoder_of(model: keras.Model) -> en.layers.Reconstruction | None:
    """Return the decoder layer of a model, or None if it has none."""
    return next((layer for layer in model.layers if isinstance(layer, en.layers.Reconstruction)), None)


def _one_of_each_class(predictions: Predictions) -> np.ndarray:
    """Choose one test image per class, correctly classified if possible, and return the image indices.

    Of many classes some are taken, evenly spaced. The label of an image with two labels is the first.
    """
    labels = predictions.labels if predictions.labels.ndim == 1 else predictions.labels[:, 0]
    correct = are_correct(predictions.lengths, predictions.labels)
    present = np.unique(labels)
    chosen = present[np.unique(np.linspace(0, len(present) - 1, _IMAGES).round().astype(int))]
    return np.array([np.lexsort((np.arange(len(labels)), ~correct, labels != label))[0] for label in chosen])
