"""Images that are used to verify exported models and to calibrate 8-bit models."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ...trainers.data.pipeline.batches import evaluation_batches
from ...trainers.evaluation.correctness import are_correct
from ..artefacts.lite import CALIBRATION_IMAGES
from ..artefacts.preprocessing import Preprocessing

_BATCH = 64


@dataclass(frozen=True)
class Samples:
    """Test images for verifying an exported model, and training images for calibrating 8-bit quantisation.

    The test images are in the three forms that the signatures take.

    Attributes:
        pixels: (n, height, width, channels) uint8, as the data set stores them.
        inputs: (n, *size, channels) float32, preprocessed as the network's inputs.
        labels: (n,) integers, (n, 2) for images with two labels, or None if not known.
        calibration: (m, *size, channels) float32, preprocessed training images.
    """

    pixels: np.ndarray
    inputs: np.ndarray
    labels: np.ndarray | None
    calibration: np.ndarray

    @classmethod
    def of(cls, preprocessing: Preprocessing, pixels, labels, calibration) -> "Samples":
        """Create verification samples by preprocessing raw images exactly as an exported model does.

        Args:
            preprocessing: of the export.
            pixels: (n, height, width, channels) uint8 test images.
            labels: (n,) integers or None.
            calibration: uint8 training images, of which the first `CALIBRATION_IMAGES` are taken.
        """
        inputs = _preprocess(preprocessing, pixels)
        return cls(pixels, inputs, labels, _preprocess(preprocessing, calibration[:CALIBRATION_IMAGES]))

    @classmethod
    def of_data(cls, dataset, images: int | None = None) -> "Samples":
        """Select and preprocess images of a data set for the verification of an exported model.

        They are preprocessed by the evaluation code of training runs, not by that of the export. Training images are
        included for calibration.

        Args:
            dataset: the data.
            images: number of test images, taken from the first on; None takes all.
        """
        test = dataset.test.take(np.arange(min(images or len(dataset.test), len(dataset.test))))
        # Spread over the training images, which may be ordered by class.
        spread = np.linspace(0, len(dataset.train) - 1, min(CALIBRATION_IMAGES, len(dataset.train))).astype(int)
        inputs, calibration = (
            np.concatenate([batch.numpy() for batch, _ in evaluation_batches(split, _BATCH, dataset.views.test)])
            for split in (test, dataset.train.take(spread))
        )
        return cls(test.pixels(np.arange(len(test))), inputs, test.labels, calibration)

    def __len__(self):
        return len(self.pixels)

    def requests(self) -> list:
        """Return prediction requests that cover every SavedModel signature and all test images.

        A request is a pair (signature, images).
        """
        return self._requests(slice(first, first + _BATCH) for first in range(0, len(self), _BATCH))

    def accuracy(self, scores) -> float | None:
        """Return the classification accuracy of predicted scores, or None if the images have no labels.

        It is the share of images whose largest score is that of their label, or whose two largest are those of both.
        """
        return None if self.labels is None else float(are_correct(scores, self.labels).mean())

    def warm_up_requests(self) -> list:
        """Return two TF Serving warm-up requests for every signature of a SavedModel.

        A request is (signature, images), with one image or up to 8.
        """
        return self._requests([slice(0, 1), slice(0, 8)])

    def _requests(self, parts):
        return [
            request
            for part in parts
            for request in (
                ("serving_default", self.inputs[part]),
                ("serve_uint8", self.pixels[part]),
                ("serve_bytes", [tf.io.encode_png(image).numpy() for image in self.pixels[part]]),
            )
        ]


def _preprocess(preprocessing, pixels):
    of_pixels = tf.function(preprocessing.of_pixels, autograph=False, reduce_retracing=True)
    return np.concatenate([of_pixels(pixels[i : i + _BATCH]).numpy() for i in range(0, len(pixels), _BATCH)])
