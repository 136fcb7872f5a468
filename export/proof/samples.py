"""The images that artefacts are compared and calibrated on."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ...trainers.data.pipeline.batches import evaluation_batches
from ..artefacts.lite import CALIBRATION_IMAGES
from ..artefacts.preprocessing import Preprocessing

_BATCH = 64


@dataclass(frozen=True)
class Samples:
    """Images of a test split in the three forms that the signatures take, and others to calibrate on.

    Attributes:
        pixels: (n, height, width, channels) uint8, as the data set stores them.
        seen: (n, *size, channels) float32, as the network sees them.
        labels: (n,) integers, or None where they are not known.
        calibration: (m, *size, channels) float32, of the training images.
    """

    pixels: np.ndarray
    seen: np.ndarray
    labels: np.ndarray | None
    calibration: np.ndarray

    @classmethod
    def of(cls, preprocessing: Preprocessing, pixels, labels, calibration) -> "Samples":
        """Makes them from images, uint8, of any size; the first few are enough to calibrate on."""
        seen = _seen(preprocessing, pixels)
        return cls(pixels, seen, labels, _seen(preprocessing, calibration[:CALIBRATION_IMAGES]))

    @classmethod
    def of_data(cls, dataset, images=None) -> "Samples":
        """Makes them from a `Dataset`, seen as a run's evaluation sees them: its own code, not the export's.

        Args:
            dataset: the data.
            images: how many test images to take, the first so many; None takes all.
        """
        test = dataset.test.take(np.arange(min(images or len(dataset.test), len(dataset.test))))
        # Spread over the training images, which may lie class by class.
        spread = np.linspace(0, len(dataset.train) - 1, min(CALIBRATION_IMAGES, len(dataset.train))).astype(int)
        seen, calibration = (
            np.concatenate([batch.numpy() for batch, _ in evaluation_batches(split, _BATCH, dataset.views.test)])
            for split in (test, dataset.train.take(spread))
        )
        return cls(test.pixels(np.arange(len(test))), seen, test.labels, calibration)

    def __len__(self):
        return len(self.pixels)

    def requests(self) -> list:
        """(signature, images) of every batch, for every signature."""
        return self._requests(slice(first, first + _BATCH) for first in range(0, len(self), _BATCH))

    def accuracy(self, scores) -> float | None:
        """Share of the images whose largest score is their label's; None without labels."""
        return None if self.labels is None else float((scores.argmax(axis=1) == self.labels).mean())

    def warm_up(self) -> list:
        """A few small requests for every signature."""
        return self._requests([slice(0, 1), slice(0, 8)])

    def _requests(self, parts):
        return [
            request
            for part in parts
            for request in (
                ("serving_default", self.seen[part]),
                ("serve_uint8", self.pixels[part]),
                ("serve_bytes", [png(image) for image in self.pixels[part]]),
            )
        ]


def _seen(preprocessing, pixels):
    see = tf.function(preprocessing.of_pixels, autograph=False, reduce_retracing=True)
    return np.concatenate([see(pixels[i : i + _BATCH]).numpy() for i in range(0, len(pixels), _BATCH)])


def png(image) -> bytes:
    """An image (height, width, channels) uint8 as a PNG file."""
    return tf.io.encode_png(image).numpy()
