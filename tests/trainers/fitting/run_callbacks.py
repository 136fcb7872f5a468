"""Keras callbacks that tests give to `train`, and a way to give them to the command."""

import functools
import os
import signal

import keras
import numpy as np
from encapnet_tf.trainers.commands import cli
from encapnet_tf.trainers.fitting import train as fitting


def _steps_made(model) -> int:
    """Return the number of optimizer steps; a variable that is mirrored over replicas has no `int`."""
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


class SigtermAt(keras.callbacks.Callback):
    """Keras callback that sends this process SIGTERM after a step, counted from 1 over all epochs."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if _steps_made(self.model) == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


class StepLog(keras.callbacks.Callback):
    """Keras callback that appends the process's number and the step's to a file, for each step that it trains."""

    def __init__(self, file: int):
        super().__init__()
        self.file = file

    def on_train_begin(self, logs=None):
        self._step = _steps_made(self.model)

    def on_train_batch_end(self, batch, logs=None):
        step = _steps_made(self.model)
        if step > self._step:  # the steps before a resume are counted by `fit` but not trained
            os.write(self.file, f"{os.getpid()} {step}\n".encode())
        self._step = step


class KeepWeights(keras.callbacks.Callback):
    """Keras callback that writes the model's variables to an .npz file at the end."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_end(self, logs=None):
        np.savez(self.path, *(keras.ops.convert_to_numpy(variable) for variable in self.model.variables))


def run_command(*callbacks: keras.callbacks.Callback):
    """Run the `encapnet` command of this process's arguments, with callbacks for the training."""
    fitting.train = functools.partial(fitting.train, callbacks=callbacks)
    cli.main()
