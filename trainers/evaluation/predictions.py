"""What a saved model says of a split: made once, kept with the run, read by the report."""

from dataclasses import dataclass

import numpy as np

from ..runs.errors import UserError

PREDICT_BATCH = 256
_WORST = 24


@dataclass(frozen=True)
class Predictions:
    """Capsule lengths (n, classes) and true labels (n,) of a split, and the images of its worst mistakes.

    `worst` holds the indices of up to 24 mistakes, most mistaken first: by how much longer the predicted class's
    capsule is than the true one's. `worst_images` are theirs, (k, height, width, channels) uint8.
    """

    lengths: np.ndarray
    labels: np.ndarray
    worst: np.ndarray
    worst_images: np.ndarray

    @classmethod
    def of(cls, model_path, split, views, batch_size: int) -> "Predictions":
        """Loads a saved model and runs it over the test views of a split.

        Raises:
            UserError: the file is missing or no model, or an image is corrupt.
        """
        from ..data import corrupt_image_as_user_error
        from ..data.pipeline.batches import evaluation_batches

        with corrupt_image_as_user_error(split):
            lengths = saved_model(model_path).predict(evaluation_batches(split, batch_size, views.test), verbose=0)
        rows = np.arange(len(split))
        predicted = lengths.argmax(axis=1)
        lead = lengths[rows, predicted] - lengths[rows, split.labels]
        wrong = np.flatnonzero(predicted != split.labels)
        worst = wrong[np.argsort(-lead[wrong], kind="stable")][:_WORST]
        return cls(lengths, split.labels, worst, split.pixels(worst))

    @property
    def predicted(self) -> np.ndarray:
        return self.lengths.argmax(axis=1)

    @property
    def errors(self) -> int:
        return int((self.predicted != self.labels).sum())

    @property
    def accuracy(self) -> float:
        return 1 - self.errors / len(self.labels)

    def top(self, k: int) -> float:
        """Share of the images whose true class is among the k longest capsules; of equals, the worse is counted."""
        true = np.take_along_axis(self.lengths, self.labels[:, None].astype(np.int64), axis=1)
        return float(((self.lengths >= true).sum(axis=1) <= k).mean())

    def per_class(self) -> np.ndarray:
        """Accuracy of each class, (classes,); NaN where there is no image."""
        counts = self.confusion()
        with np.errstate(invalid="ignore"):
            return counts.diagonal() / counts.sum(axis=1)

    def confusion(self) -> np.ndarray:
        """Counts, (true class, predicted class)."""
        classes = self.lengths.shape[1]
        counts = np.bincount(self.labels * classes + self.predicted, minlength=classes * classes)
        return counts.reshape(classes, classes)

    def save(self, path):
        np.savez_compressed(path, **self.__dict__)

    @classmethod
    def load(cls, path) -> "Predictions":
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(**arrays)
        except Exception as error:  # zipfile, zlib, OSError, KeyError: whatever a damaged file provokes
            raise UserError(f"{path} cannot be read: {error}.") from None


def saved_model(path):
    """Loads a saved model, without its optimizer.

    Raises:
        UserError: the file is missing or no model.
    """
    import encapnet_tf as en

    try:
        return en.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot load the model {path}: {error}") from None


def many_crop_lengths(model, split, views, batch_size: int) -> np.ndarray:
    """Capsule lengths averaged over ten crops of each image (five, where images are not mirrored).

    Args:
        model: images (batch, *views.size, channels) from 0 to 255 -> lengths (batch, classes).
        split: images with labels.
        views: what the network sees of them.
        batch_size: images at a time, all crops together.

    Returns:
        (n, classes).
    """
    import tensorflow as tf

    from ..data.pipeline.batches import evaluation_batches

    def crops(images):
        return tf.stack(views.ten_crops(images), axis=1)

    count = views.num_crops
    means = []
    for images, _ in evaluation_batches(split, max(1, batch_size // count), crops):
        lengths = model.predict_on_batch(tf.reshape(images, (-1, *images.shape[2:])))
        means.append(lengths.reshape(len(images), count, -1).mean(axis=1))
    return np.concatenate(means)
