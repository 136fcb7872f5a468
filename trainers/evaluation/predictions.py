"""Predictions of a saved classifier: computation, accuracy measures, and storage in an .npz file.

They are computed once, stored with the run, and read by the report.
"""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import encapnet_tf as en

from ..config.presets import is_preset
from ..data import AnySplit, corrupt_image_as_user_error
from ..data.augmentation.views import Views
from ..data.pipeline.batches import evaluation_batches
from ..runs.errors import UserError
from .correctness import are_correct, label_matrix, lead_of_mistake

PREDICT_BATCH = 256
_WORST_MISTAKES = 24


@dataclass(frozen=True)
class Predictions:
    """Predictions of a classifier on a set of images, stored with the true labels.

    The worst mistakes are those where the predicted class's capsule is longer than the true one's by most. Images with
    two labels have two predicted classes, those with the highest scores.

    Attributes:
        lengths: (n, classes) capsule lengths.
        labels: (n,) integers, or (n, 2) for images with two labels.
        worst: (k,) indices of up to 24 mistakes, worst first.
        worst_images: (k, height, width, channels) uint8, their images.
    """

    lengths: np.ndarray
    labels: np.ndarray
    worst: np.ndarray
    worst_images: np.ndarray

    @classmethod
    def of(cls, model_path: Path, split: AnySplit, views: Views, batch_size: int) -> "Predictions":
        """Compute the predictions of a saved model on labelled images.

        The model receives the test view of each image.

        Args:
            model_path: file of the model.
            split: images with labels.
            views: the part of an image that the network sees.
            batch_size: images a batch.

        Raises:
            UserError: the file is missing or not a model, or an image is corrupt.
        """
        with corrupt_image_as_user_error(split):
            lengths = saved_model(model_path).predict(evaluation_batches(split, batch_size, views.test), verbose=0)
        lead = lead_of_mistake(lengths, split.labels)
        mistakes = np.flatnonzero(~are_correct(lengths, split.labels))
        worst = mistakes[np.argsort(-lead[mistakes], kind="stable")][:_WORST_MISTAKES]
        return cls(lengths, split.labels, worst, split.pixels(worst))

    @property
    def predicted(self) -> np.ndarray:
        """Highest-scoring class of each image, or the two highest-scoring classes if images have two labels.

        An integer array of the same shape as the labels.
        """
        if self.labels.ndim == 1:
            return self.lengths.argmax(axis=1)
        return np.argsort(-self.lengths, axis=1, kind="stable")[:, : self.labels.shape[1]]

    @property
    def errors(self) -> int:
        """Number of images that are classified wrongly."""
        return int((~are_correct(self.lengths, self.labels)).sum())

    @property
    def accuracy(self) -> float:
        """Fraction of images that are classified correctly."""
        return 1 - self.errors / len(self.labels)

    def top(self, k: int) -> float:
        """Return the top-k accuracy, with ties counted as mistakes.

        All labels of an image must be among the k highest scores.

        `sklearn.metrics.top_k_accuracy_score` ranks ties by class index, so that a model that gives all classes one
        score would have a part of them right.
        """
        is_label = label_matrix(self.labels, self.lengths.shape[1])
        lowest = np.where(is_label, self.lengths, np.inf).min(axis=1, keepdims=True)
        return float(((self.lengths >= lowest).sum(axis=1) <= k).mean())

    def per_class(self) -> np.ndarray:
        """Return the recall of each class, or NaN for classes without images.

        Recall is the share of a class's images for which the class is predicted.
        """
        true, found = (label_matrix(labels, self.lengths.shape[1]) for labels in (self.labels, self.predicted))
        with np.errstate(invalid="ignore"):
            return (true & found).sum(axis=0) / true.sum(axis=0)

    def class_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of images of each class, and how often each class is predicted."""
        classes = self.lengths.shape[1]
        true, predicted = (np.bincount(labels.ravel(), minlength=classes) for labels in (self.labels, self.predicted))
        return true, predicted

    def confusion(self) -> np.ndarray:
        """Return the confusion matrix, with one row per true class and one column per predicted class.

        Only for images with one label.
        """
        from sklearn.metrics import confusion_matrix

        return confusion_matrix(self.labels, self.predicted, labels=np.arange(self.lengths.shape[1]))

    def save(self, path: Path) -> None:
        """Save class scores, true labels and the worst misclassified images to an .npz file."""
        np.savez_compressed(path, **self.__dict__)

    @classmethod
    def load(cls, path: Path) -> "Predictions":
        """Load the predictions of a classifier from an .npz file.

        Raises:
            UserError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(**arrays)
        except Exception as error:  # a damaged file can raise OSError, KeyError and errors of zipfile and zlib
            raise UserError(f"{path} cannot be read: {error}.") from None


def saved_model(path: Path) -> keras.Model:
    """Load a saved Keras model, or a pretrained network of the package, without the optimizer and the loss.

    Raises:
        UserError: the file is missing or not a model.
    """
    try:
        if is_preset(path):
            return en.models.EncapNet(weights=path.parent.name, include_rescaling=True)
        return en.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot load the model {path}: {error}") from None


def many_crop_lengths(model: keras.Model, split: AnySplit, views: Views, batch_size: int) -> np.ndarray:
    """Compute the class scores (capsule lengths) of each image, averaged over ten crops of the image.

    Images that training does not mirror have five crops.

    Args:
        model: maps images (batch, *views.size, channels), pixels from 0 to 255, to lengths (batch, classes).
        split: images with labels.
        views: the part of an image that the network sees.
        batch_size: images a batch, all crops together.

    Returns:
        (n, classes) lengths.
    """

    def crops(images):
        return tf.stack(views.ten_crops(images), axis=1)

    count = views.num_crops
    means = []
    for images, _ in evaluation_batches(split, max(1, batch_size // count), crops):
        lengths = model.predict_on_batch(tf.reshape(images, (-1, *images.shape[2:])))
        means.append(lengths.reshape(len(images), count, -1).mean(axis=1))
    return np.concatenate(means)
