"""Measurement of the time and the memory use of a few training steps."""

import math
import resource
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass

import keras
import tensorflow as tf

from ..data import corrupt_image_as_user_error
from ..fitting.checkpoints.resume import Start
from ..fitting.compiling_line import CompilingLine
from ..fitting.training_setup import TrainingSetup

STEPS = 3  # the first one compiles


@dataclass(frozen=True)
class Measurement:
    """Time, loss and memory use of the few training steps in a dry run.

    Attributes:
        first_seconds: time of the first step, in which TensorFlow traces and compiles the network.
        step_seconds: mean time of the other steps, with the loading of their images.
        loss: training loss of the steps.
        state_bytes: size of all variables (weights, moving statistics, optimizer) and of the gradients.
        process_bytes: largest main memory of this process so far, TensorFlow and images in memory included.
        device_bytes: largest memory on each GPU, name -> bytes.
    """

    first_seconds: float
    step_seconds: float
    loss: float
    state_bytes: int
    process_bytes: int
    device_bytes: dict[str, int]


class _StepTimes(keras.callbacks.Callback):
    """Keras callback that records the time at which each training step ends."""

    def __init__(self):
        super().__init__()
        self.times: list[float] = []
        self.loss = float("nan")

    def on_train_begin(self, logs=None):
        self.times = [time.perf_counter()]

    def on_train_batch_end(self, batch, logs=None):
        self.loss = float((logs or {})["loss"])  # waits for the end of the step on the device
        self.times.append(time.perf_counter())


def measure_steps(setup: TrainingSetup, first_step: int) -> Measurement:
    """Measure the time and the memory use of a few training steps.

    The network's weights change, and nothing is written.

    Args:
        setup: network, data and devices.
        first_step: the step to begin with, counted over all epochs.
    """
    model, times = setup.model, _StepTimes()
    batches = setup.batches_from(first_step).repeat()  # a short run may have fewer steps left
    with (
        corrupt_image_as_user_error(setup.dataset.train),
        CompilingLine(STEPS, Start()) if setup.chief else nullcontext() as line,
    ):
        callbacks = [*filter(None, (line,)), *setup.schedules, times]
        model.fit(batches, steps_per_epoch=STEPS, shuffle=False, verbose=0, callbacks=callbacks)
    seconds = [end - start for start, end in zip(times.times, times.times[1:], strict=False)]
    return Measurement(
        first_seconds=seconds[0],
        step_seconds=sum(seconds[1:]) / len(seconds[1:]),
        loss=times.loss,
        state_bytes=_state_bytes(model),
        process_bytes=_process_bytes(),
        device_bytes={
            device.name: tf.config.experimental.get_memory_info(device.name.removeprefix("/device:"))["peak"]
            for device in tf.config.list_logical_devices("GPU")
        },
    )


def _state_bytes(model: keras.Model) -> int:
    """Compute the total size in bytes of a model's variables, its optimizer's variables and the weight gradients."""
    variables = [*model.variables, *model.optimizer.variables, *model.trainable_variables]
    return sum(math.prod(variable.shape) * tf.as_dtype(variable.dtype).size for variable in variables)


def _process_bytes() -> int:
    """Return this process's peak use of main memory in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
