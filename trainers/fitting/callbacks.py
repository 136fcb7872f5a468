"""What `encapnet train` does beside the training step: progress, metrics on disk, the best model."""

import time

import keras
import numpy as np

from ..evaluation.agreement import agreement
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .checkpoint import digest


class MetricsLog(keras.callbacks.Callback):
    """Writes one JSON line per epoch, and one line per epoch to standard output.

    Lines of earlier epochs that are there already stay.

    Args:
        run: the run's folder.
        epochs: number of epochs, for the printed line.
        quiet: whether to print nothing.
    """

    def __init__(self, run: RunDirectory, epochs: int, quiet: bool = False):
        super().__init__()
        self.run, self.epochs, self.quiet = run, epochs, quiet
        self.rows = (
            run.read_json_lines(RunDirectory.metrics_file) if run.file(RunDirectory.metrics_file).exists() else []
        )

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._began
        row = {"epoch": epoch + 1, "seconds": round(seconds, 3), **{k: float(v) for k, v in (logs or {}).items()}}
        self.rows.append(row)
        self.run.write_json_lines(RunDirectory.metrics_file, self.rows)
        if not self.quiet:
            print(
                f"epoch {row['epoch']}/{self.epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}  "
                f"validation loss {row['val_loss']:.4f}  validation accuracy {row['val_accuracy']:.2%}  "
                f"{seconds:.1f} s",
                flush=True,
            )


class BestModel(keras.callbacks.Callback):
    """Saves the model of the best epoch: highest validation accuracy, of equals the lowest validation loss.

    Args:
        run: the run's folder.
        state: what `state` gave, to go on from.

    Attributes:
        epoch: the best epoch so far, from 1; None before the first.
        accuracy: its validation accuracy.
    """

    def __init__(self, run: RunDirectory, state: dict | None = None):
        super().__init__()
        self.run, self._state = run, state or {}

    @property
    def epoch(self):
        return self._state.get("epoch")

    @property
    def accuracy(self):
        return self._state.get("accuracy")

    def state(self) -> dict:
        """Epoch, accuracy and loss of the best model and its file's digest, for JSON; empty before the first."""
        return dict(self._state)

    def on_epoch_end(self, epoch, logs=None):
        accuracy, loss = float(logs["val_accuracy"]), float(logs["val_loss"])
        if not self._state or (accuracy, -loss) > (self._state["accuracy"], -self._state["loss"]):
            with self.run.replacing(RunDirectory.best_model_file) as path:
                self.model.save(path)
                self._state = {"epoch": epoch + 1, "accuracy": accuracy, "loss": loss, "digest": digest(path)}


class AgreementLog(keras.callbacks.Callback):
    """Writes how lower capsules agree with higher ones (the paper's Fig. 2) at the end of some epochs.

    Args:
        run: the run's folder.
        epochs: the epochs, from 1.
        images: (n, height, width, channels), as the model takes them.
        labels: (n,).
    """

    def __init__(self, run: RunDirectory, epochs, images, labels):
        super().__init__()
        self.run, self.epochs, self.images, self.labels = run, frozenset(epochs), images, labels

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in self.epochs and (found := agreement(self.model, self.images, self.labels)):
            file = RunDirectory.agreement_file
            rows = self.run.read_json_lines(file) if self.run.file(file).exists() else []
            self.run.write_json_lines(file, [*rows, *({"epoch": epoch + 1, **row} for row in found)])


class FiniteLoss(keras.callbacks.Callback):
    """Ends training with an error when the loss stops being a finite number."""

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            raise UserError(
                f"The loss became {loss} at step {batch + 1} of an epoch. A lower learning rate usually helps.",
                status=1,
            )
