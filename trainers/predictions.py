"""What a saved model says of a split: made once, kept with the run, read by the report."""

from dataclasses import dataclass

import numpy as np

from .errors import UserError

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
            UserError: the file is missing or no model.
        """
        import encapnet_tf as en

        from .data.pipeline import evaluation_batches

        try:
            model = en.load_model(model_path, compile=False)
        except (OSError, ValueError) as error:
            raise UserError(f"Cannot load the model {model_path}: {error}") from None
        lengths = model.predict(evaluation_batches(split, batch_size, views), verbose=0)
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
