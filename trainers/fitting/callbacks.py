"""Keras callbacks that save the best model, metrics and TensorBoard data during training."""

import time
from collections.abc import Iterable
from pathlib import Path

import keras
import tensorflow as tf

from ..data.pipeline.label_rows import label_rows
from ..evaluation.agreement import agreement
from ..runs.run_directory import RunDirectory
from .checkpoints.checkpoint import digest

_SAMPLE_IMAGES = 16  # training images shown in TensorBoard


class MetricsLog(keras.callbacks.Callback):
    """Keras callback that prints the metrics of each epoch and appends them to a JSON Lines file.

    Lines of earlier epochs stay, and the file is replaced as a whole: `keras.callbacks.CSVLogger` appends to its file,
    which an interruption can leave with half a line.

    Args:
        run: the run's folder.
        epochs: number of epochs, for the printed line.
        quiet: whether to print nothing.
    """

    def __init__(self, run: RunDirectory, epochs: int, quiet: bool = False):
        super().__init__()
        self.run, self.epochs, self.quiet = run, epochs, quiet
        self.rows = existing_rows(run, RunDirectory.metrics_file)

    def on_epoch_begin(self, epoch, logs=None):
        self._start_time = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._start_time
        row = {"epoch": epoch + 1, "seconds": round(seconds, 3), **{k: float(v) for k, v in (logs or {}).items()}}
        self.rows.append(row)
        self.run.write_json_lines(RunDirectory.metrics_file, self.rows)
        if not self.quiet:
            print(describe_epoch(row, self.epochs), flush=True)


def describe_epoch(row: dict, epochs: int) -> str:
    """Format the metrics of one training epoch as one line of text.

    Args:
        row: a row of metrics.jsonl.
        epochs: number of epochs of the training.
    """
    return (
        f"epoch {row['epoch']}/{epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.2%}  "
        f"validation loss {row['val_loss']:.4f}  validation accuracy {row['val_accuracy']:.2%}  {row['seconds']:.1f} s"
    )


class BestModel(keras.callbacks.Callback):
    """Keras callback that saves the model of the epoch with the highest validation accuracy.

    The tie-break is the lowest validation loss; `keras.callbacks.ModelCheckpoint` compares one number only.

    Args:
        run: the run's folder.
        state: result of `state()` before a resume; None for a new run.
    """

    def __init__(self, run: RunDirectory, state: dict | None = None):
        super().__init__()
        self.run, self._state = run, state or {}

    @property
    def epoch(self) -> int | None:
        """Number of the epoch with the highest validation accuracy so far, or None before the first epoch ends."""
        return self._state.get("epoch")

    @property
    def accuracy(self) -> float | None:
        """Highest validation accuracy so far, or None before the first epoch ends."""
        return self._state.get("accuracy")

    def state(self) -> dict:
        """Return the epoch number, validation accuracy and validation loss of the best model so far.

        They are in a dictionary, with the digest of the model's file; it is empty before the first epoch ends.
        """
        return dict(self._state)

    def on_epoch_end(self, epoch, logs=None):
        accuracy, loss = float(logs["val_accuracy"]), float(logs["val_loss"])
        if not self._state or (accuracy, -loss) > (self._state["accuracy"], -self._state["loss"]):
            with self.run.replacing(RunDirectory.best_model_file) as path:
                self.model.save(path)
                self._state = {"epoch": epoch + 1, "accuracy": accuracy, "loss": loss, "digest": digest(path)}


class AgreementLog(keras.callbacks.Callback):
    """Keras callback that logs the cosine similarity between higher capsules and the votes of lower capsules.

    Args:
        run: the run's folder.
        epochs: the epochs, counted from 1.
        images: (n, height, width, channels), pixels as the model takes them.
        labels: (n,) integers; of (n, 2), for images with two labels, the first are used.
        at_stop: whether to log the epoch after which a callback before this one stops training, too.
    """

    def __init__(self, run: RunDirectory, epochs: Iterable[int], images, labels, *, at_stop: bool = False):
        super().__init__()
        self.run, self.epochs, self.images, self.at_stop = run, frozenset(epochs), images, at_stop
        self.labels = labels if labels.ndim == 1 else labels[:, 0]

    def on_epoch_end(self, epoch, logs=None):
        is_due = epoch + 1 in self.epochs or (self.at_stop and self.model.stop_training)
        if is_due and (histograms := agreement(self.model, self.images, self.labels)):
            rows = existing_rows(self.run, RunDirectory.agreement_file)
            rows += [{"epoch": epoch + 1, **histogram} for histogram in histograms]
            self.run.write_json_lines(RunDirectory.agreement_file, rows)


class TensorBoardExtras(keras.callbacks.Callback):
    """Keras callback that writes sample training images and histograms of capsule lengths for TensorBoard.

    `keras.callbacks.TensorBoard` writes the curves, among them those of the feedback units' divergences.

    Args:
        folder: folder of the run's TensorBoard files.
        images: (n, height, width, channels) validation images for the histograms, pixels as the model takes them.
        labels: (n,) or (n, 2), their classes.
        samples: (batch, height, width, channels) augmented training images, pixels from 0 to 255.
    """

    def __init__(self, folder: Path, images, labels, samples):
        super().__init__()
        self.folder, self.images, self.labels, self.samples = folder, images, labels, samples

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(str(self.folder / "capsules"))
        if self.samples.shape[-1] in (1, 3):  # grey or colour: TensorBoard shows no other number of channels
            pixels = tf.clip_by_value(self.samples[:_SAMPLE_IMAGES] / 255, 0, 1)
            with self._writer.as_default():
                tf.summary.image("training images", pixels, step=0, max_outputs=_SAMPLE_IMAGES)

    def on_epoch_end(self, epoch, logs=None):
        lengths = tf.cast(self.model(self.images, training=False), "float32")
        is_label = label_rows(self.labels, lengths.shape[-1]) > 0
        with self._writer.as_default():
            tf.summary.histogram("length, the true class", lengths[is_label], step=epoch)
            tf.summary.histogram("length, other classes", lengths[~is_label], step=epoch)
        self._writer.flush()

    def on_train_end(self, logs=None):
        self._writer.close()


def existing_rows(run: RunDirectory, file: str) -> list[dict]:
    """Read the rows of a training log file, or return an empty list if the file does not exist."""
    return run.read_json_lines(file) if run.file(file).exists() else []
