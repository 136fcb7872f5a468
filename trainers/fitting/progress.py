"""Progress bar for training, drawn by tqdm."""

import shutil
import sys
import time
from typing import TextIO

import keras
from tqdm import tqdm

from .resume import Start

_MOST_COLUMNS = 110
_FORMAT = (
    "{desc} [{bar}] {postfix[step]}  loss {postfix[loss]:.4f}  accuracy {postfix[accuracy]:.2%}  "
    "{rate_noinv_fmt}  {postfix[time_left]} left"
)


class ProgressBar(keras.callbacks.Callback):
    """Keras callback that shows a progress bar with the loss, the accuracy, the speed and the remaining time.

    Images per second are those of the epoch so far. The time left is that of the whole run, from the pace since
    training began in this process, validation included. Both leave out the first step, in which TensorFlow compiles.

    Args:
        batch_size: images a step.
        steps: steps an epoch.
        epochs: number of epochs.
        start: where training begins; steps before it are not counted.
        stream: the stream to draw on; None draws on standard output.
    """

    def __init__(self, batch_size: int, steps: int, epochs: int, start: Start, stream: TextIO | None = None):
        super().__init__()
        self.batch_size, self.steps, self.epochs, self.start = batch_size, steps, epochs, start
        self.stream = stream or sys.stdout
        self._first: tuple[float, int] | None = None  # time after this process's first step, and the step's number

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._bar = epoch, None

    def on_train_batch_end(self, batch, logs=None):
        now, step = time.perf_counter(), self._epoch * self.steps + batch + 1
        if step <= self.start.epoch * self.steps + self.start.step:
            return  # trained before the resume
        if self._first is None:
            self._first = now, step
        if self._bar is None:
            self._bar = self._open_bar(batch + 1)
            return
        self._bar.postfix = {
            "step": f"{batch + 1}/{self.steps}",
            "loss": logs["loss"],
            "accuracy": logs["accuracy"],
            "time_left": tqdm.format_interval(self._seconds_left(self._first, now, step)),
        }
        self._bar.update(self.batch_size)
        if batch + 1 == self.steps:
            self._bar.refresh()

    def on_epoch_end(self, epoch, logs=None):
        if self._bar is not None:
            self._bar.close()

    def _open_bar(self, step) -> tqdm:
        terminal = shutil.get_terminal_size()  # 80 by 24 where the terminal has no size, for which tqdm draws nothing
        return tqdm(
            desc=f"epoch {self._epoch + 1}/{self.epochs}",
            initial=step * self.batch_size,
            total=self.steps * self.batch_size,
            unit=" images",
            file=self.stream,
            bar_format=_FORMAT,
            ncols=min(terminal.columns, _MOST_COLUMNS) - 1,
            nrows=terminal.lines,
            ascii=" =",
            leave=False,  # the epoch's line of metrics takes its place
            smoothing=0,  # images per second are the mean of the epoch
            miniters=1,
            delay=1e-9,  # no drawing before there is a loss
        )

    def _seconds_left(self, first, now, step) -> float:
        first_time, first_step = first
        return (self.epochs * self.steps - step) * (now - first_time) / max(1, step - first_step)
