"""Keras callback that ends training when the validation accuracy no longer rises."""

from collections.abc import Iterable

import keras

from ..runs.counting import counted
from .strategy import any_worker

_FEW_IMAGES = 50  # validation images; with fewer, a step of the accuracy is more than 2 points


class EarlyStopping(keras.callbacks.Callback):
    """Keras callback that ends training after some epochs without a better validation accuracy.

    Only a higher accuracy is better, while `BestModel` also prefers a lower loss at an equal accuracy.

    `keras.callbacks.EarlyStopping` begins its count again when a run resumes. This one counts on from the accuracies in
    the run's log.

    Args:
        patience: the number of epochs.
        accuracies: validation accuracies of the epochs before a resume.
        first_epoch: number of epochs that an earlier run trained, from whose last checkpoint this run continues. They
            do not count as waiting.
        decides: whether this process decides; the workers that do not follow the one that does.
    """

    def __init__(self, patience: int, accuracies: Iterable[float] = (), first_epoch: int = 0, *, decides: bool = True):
        super().__init__()
        self.patience, self.first_epoch, self.decides = patience, first_epoch, decides
        self.accuracies = list(accuracies)

    @property
    def waited(self) -> int:
        """Number of epochs since the validation accuracy last reached a new maximum.

        Epochs up to `first_epoch` do not count.
        """
        if not self.accuracies:
            return 0
        best = self.accuracies.index(max(self.accuracies)) + 1
        return max(0, len(self.accuracies) - max(best, self.first_epoch))

    @property
    def is_over(self) -> bool:
        """True if training should end because the validation accuracy has stopped improving.

        It is never True in a process without `decides`.
        """
        return self.decides and self.waited >= self.patience

    def on_epoch_end(self, epoch, logs=None):
        self.accuracies.append(float((logs or {})["val_accuracy"]))
        if any_worker(self.model.distribute_strategy, self.is_over):
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        if self.is_over:
            print(
                f"stopped early after epoch {len(self.accuracies)} of {self.params['epochs']}: no better validation "
                f"accuracy in {counted(self.waited, 'epoch')} (--early_stopping={self.patience})",
                flush=True,
            )


def coarse_accuracy_warning(patience: int, images: int) -> str | None:
    """Return a warning if early stopping relies on very few validation images, otherwise None.

    Args:
        patience: setting `early_stopping`; 0 for none.
        images: number of validation images.
    """
    if not patience or images >= _FEW_IMAGES:
        return None
    return (
        f"--early_stopping={patience} judges by {counted(images, 'validation image')}, whose accuracy moves in steps "
        f"of {100 / images:.1f} points: training may stop too soon. A larger --validation_fraction helps."
    )
