"""What `encapnet train` does beside the training step: progress, metrics on disk, the best model, the NaN watch."""

import sys
import time

import keras
import numpy as np

from .agreement import agreement
from .errors import UserError
from .run_directory import RunDirectory


class MetricsLog(keras.callbacks.Callback):
    """Writes one JSON line per epoch, and one line per epoch to standard output where there is no terminal.

    Args:
        run: the run's folder.
        epochs: number of epochs, for the printed line.
        quiet: whether to print nothing.
    """

    def __init__(self, run: RunDirectory, epochs: int, quiet: bool = False):
        super().__init__()
        self.run, self.epochs, self.quiet, self.rows = run, epochs, quiet, []

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._began
        row = {"epoch": epoch + 1, "seconds": round(seconds, 3), **{k: float(v) for k, v in (logs or {}).items()}}
        self.rows.append(row)
        self.run.write_json_lines(RunDirectory.metrics_file, self.rows)
        if not (self.quiet or sys.stdout.isatty()):
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

    Attributes:
        epoch: the best epoch so far, from 1; None before the first.
        accuracy: its validation accuracy.
    """

    def __init__(self, run: RunDirectory):
        super().__init__()
        self.run, self.epoch, self.accuracy, self._best = run, None, None, None

    def on_epoch_end(self, epoch, logs=None):
        score = (logs["val_accuracy"], -logs["val_loss"])
        if self._best is None or score > self._best:
            self._best, self.epoch, self.accuracy = score, epoch + 1, float(logs["val_accuracy"])
            with self.run.replacing(RunDirectory.best_model_file) as path:
                self.model.save(path)


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


class NotANumber(keras.callbacks.Callback):
    """Stops the run when the loss stops being a finite number; what was saved before stays."""

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            raise UserError(
                f"The loss became {loss} at step {batch + 1} of an epoch; training stopped. The best model so far, if "
                "there is one, is in the run folder. A lower --learning_rate usually helps.",
                status=1,
            )
