"""Progress bar for training, drawn by tqdm."""

import shutil
import sys
import time
from typing import TextIO

import keras
from tqdm import tqdm

from .checkpoints.resume import Start

_MOST_COLUMNS, _LEAST_BAR = 110, 8
_CTRL_C = 2  # columns that remain free on the right, because a terminal shows Ctrl-C as "^C"
_PARTS = {
    "name": "{desc}",
    "bar": " [{bar}]",
    "step": " {postfix[step]}",
    "loss": "  loss {postfix[loss]:.4f}",
    "accuracy": "  accuracy {postfix[accuracy]:.2%}",
    "speed": "  {postfix[speed]} images/s",
    "time_left": "  {postfix[time_left]} left",
}
# What a narrow terminal has no room for; the first entry that makes the line short enough is chosen.
_OMITTED = (
    (),
    ("speed",),
    ("bar", "speed"),
    ("bar", "speed", "accuracy"),
    ("bar", "speed", "accuracy", "loss"),
)
_LONGEST = {"loss": 9.9999, "accuracy": 1.0, "speed": "10,000", "time_left": "1:00:00"}


class ProgressBar(keras.callbacks.Callback):
    """Keras callback that shows a progress bar with the loss, the accuracy, the speed and the remaining time.

    Images per second are those of the epoch so far. The time left is that of the whole run, from the pace since
    training began in this process, validation included. Both leave out the first step, in which TensorFlow compiles.

    It is also a context manager for the call of `fit`, which clears the line if `fit` raises.

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
        self._bar: tqdm | None = None
        self._first: tuple[float, int] | None = None  # time after this process's first step, and the step's number

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._bar is not None:
            self._bar.close()
            self.stream.write(f"\r{' ' * (self._bar.ncols + _CTRL_C)}\r")
            self.stream.flush()
            self._bar = None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._bar = epoch, None

    def on_train_batch_end(self, batch, logs=None):
        now, step = time.perf_counter(), self._epoch * self.steps + batch + 1
        if step <= self.start.epoch * self.steps + self.start.step:
            return  # trained before the resume
        if self._first is None:
            self._first = now, step
        if self._bar is None:
            self._bar, self._opened = self._open_bar(batch + 1), (now, batch + 1)
            return
        self._bar.postfix = {
            "step": f"{batch + 1}/{self.steps}",
            "loss": logs["loss"],
            "accuracy": logs["accuracy"],
            "speed": self._images_per_second(now, batch + 1),
            "time_left": tqdm.format_interval(self._seconds_left(self._first, now, step)),
        }
        self._bar.update(self.batch_size)
        if batch + 1 == self.steps:
            self._bar.refresh()

    def on_epoch_end(self, epoch, logs=None):
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _open_bar(self, step) -> tqdm:
        terminal = shutil.get_terminal_size()  # 80 by 24 where the terminal has no size, for which tqdm draws nothing
        columns = min(terminal.columns, _MOST_COLUMNS) - 1 - _CTRL_C
        name = f"epoch {self._epoch + 1}/{self.epochs}"
        return tqdm(
            desc=name,
            initial=step * self.batch_size,
            total=self.steps * self.batch_size,
            file=self.stream,
            bar_format=_line_format(columns, name, f"{self.steps}/{self.steps}"),
            ncols=columns,
            nrows=terminal.lines,
            ascii=" =",
            leave=False,  # the epoch's line of metrics takes its place
            miniters=1,
            delay=1e-9,  # no drawing before there is a loss
        )

    def _images_per_second(self, now, step) -> str:
        opened, first_step = self._opened
        speed = (step - first_step) * self.batch_size / max(now - opened, 1e-9)
        return f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"

    def _seconds_left(self, first, now, step) -> float:
        first_time, first_step = first
        return (self.epochs * self.steps - step) * (now - first_time) / max(1, step - first_step)


def _line_format(columns: int, name: str, step: str) -> str:
    """Return a tqdm format string for the progress line, with only the fields that fit into the terminal."""
    for omitted in _OMITTED:
        line = "".join(part for key, part in _PARTS.items() if key not in omitted)
        if len(line.format(desc=name, bar=" " * _LEAST_BAR, postfix={"step": step, **_LONGEST})) <= columns:
            break
    return line
