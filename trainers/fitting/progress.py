"""The bar of `encapnet train` on a terminal."""

import sys
import time

import keras

_WIDTH = 24
_PAUSE = 0.1  # seconds between two drawings


class ProgressBar(keras.callbacks.Callback):
    """Draws one line, over and over: epoch, step, loss, accuracy, images a second, time left.

    Images a second are of the epoch so far; the time left is by the pace since training began in this process,
    validation included, the first step (in which TensorFlow compiles) not.

    Args:
        batch_size: images a step.
        steps: steps an epoch.
        epochs: number of epochs.
        start: where training begins (`resume.Start`).
        stream: what to draw on.
    """

    def __init__(self, batch_size: int, steps: int, epochs: int, start, stream=None):
        super().__init__()
        self.batch_size, self.steps, self.epochs, self.start = batch_size, steps, epochs, start
        self.stream = stream or sys.stdout
        self._first = None  # (time, steps made) after the first step of this process

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._drawn, self._began = epoch, 0.0, None

    def on_train_batch_end(self, batch, logs=None):
        now, made = time.perf_counter(), self._epoch * self.steps + batch + 1
        if made <= self.start.epoch * self.steps + self.start.step:
            return
        self._first = self._first or (now, made)
        if self._began is None:
            self._began = (now, made)
            return
        if now - self._drawn < _PAUSE and batch + 1 < self.steps:
            return
        self._drawn = now
        pace = (made - self._began[1]) / max(now - self._began[0], 1e-9)
        overall = (made - self._first[1]) / max(now - self._first[0], 1e-9)
        left = (self.epochs * self.steps - made) / max(overall, 1e-9)
        bar = "=" * (_WIDTH * (batch + 1) // self.steps)
        self._draw(
            f"epoch {self._epoch + 1}/{self.epochs} [{bar:<{_WIDTH}}] {batch + 1}/{self.steps}  "
            f"loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.2%}  {pace * self.batch_size:,.0f} images/s  "
            f"{duration(left)} left"
        )

    def on_epoch_end(self, epoch, logs=None):
        self._draw("")

    def _draw(self, text):
        self.stream.write(f"\r\x1b[K{text}")
        self.stream.flush()


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03, 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
