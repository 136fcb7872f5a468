"""Terminal message that shows the elapsed time while the first training step is compiled."""

import sys
import threading
import time
from typing import TextIO

import keras

from .checkpoints.resume import Start

_REFRESH_SECONDS = 1.0


class CompilingLine(keras.callbacks.Callback):
    """Keras callback that shows a "compiling" message until the first training step is finished.

    TensorFlow traces and compiles the network in that step, which takes seconds to minutes. On a terminal the message
    shows the running time, as in "compiling ... 12 s", and vanishes at the end; elsewhere one line without a time is
    printed.

    It is also a context manager for the call of `fit`, which ends the line if `fit` raises.

    Args:
        steps: steps an epoch.
        start: where training begins; steps before it are not trained.
        stream: the stream to write to; None writes to standard output.
    """

    def __init__(self, steps: int, start: Start, stream: TextIO | None = None):
        super().__init__()
        self.steps, self.start, self.stream = steps, start, stream or sys.stdout
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._stop()

    def on_epoch_begin(self, epoch, logs=None):  # not on_train_begin, in which other callbacks may refuse to train
        self._epoch = epoch
        if epoch != self.start.epoch:
            return
        if self.stream.isatty():
            self._thread = threading.Thread(target=self._show, args=(time.perf_counter(),), daemon=True)
            self._thread.start()
        else:
            print("compiling ...", file=self.stream, flush=True)

    def on_train_batch_end(self, batch, logs=None):
        if self._epoch * self.steps + batch >= self.start.epoch * self.steps + self.start.step:
            self._stop()

    def _show(self, start_time):
        """Update the elapsed time on the terminal every second until the first training step ends."""
        text = ""
        while not self._done.is_set():
            text = f"compiling ... {time.perf_counter() - start_time:.0f} s"
            self.stream.write(f"\r{text}")
            self.stream.flush()
            self._done.wait(_REFRESH_SECONDS)
        self.stream.write(f"\r{' ' * len(text + '^C')}\r")  # a terminal shows Ctrl-C as "^C"
        self.stream.flush()

    def _stop(self):
        self._done.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
