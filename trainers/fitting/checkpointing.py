"""Saves a training run as it goes: at every epoch, every so many steps, and when the process is asked to stop."""

import shutil
import sys
import time

import keras

from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from . import training_state
from .checkpoint import Checkpoint, Checkpoints
from .resume import Start
from .stop_signal import StopSignal
from .strategy import across_machines, agreed


class Checkpointing(keras.callbacks.Callback):
    """Writes checkpoints; ends training with status 143 when SIGTERM came.

    The first is written before the first step: a folder that cannot take it is told before there is work to lose. Later
    failures are told and training goes on. It must come after the callbacks that change the model (averaged weights).

    Where other processes take part, SIGTERM to any of them ends all at the next checkpoint, for they read the metrics
    together; the chief alone writes.

    Args:
        run: the run's folder.
        checkpoints: the run's.
        config: the run's `Config`.
        steps: steps an epoch.
        best: the run's `BestModel`.
        start: where training begins.
        stop: the flags of SIGTERM and Ctrl-C.
        watch: the run's `NotANumber`.
        chief: whether this process writes.
    """

    def __init__(
        self, run, checkpoints: Checkpoints, config, steps, best, start: Start, stop: StopSignal, watch, chief=True
    ):
        super().__init__()
        self.run, self.checkpoints, self.config, self.steps = run, checkpoints, config, steps
        self.best, self.start, self.stop = best, start, stop
        self.watch, self.chief = watch, chief
        self._epoch, self._began = start.epoch, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Training time so far, of earlier processes too."""
        return self.start.seconds + time.perf_counter() - self._began

    def on_train_begin(self, logs=None):
        self._began = time.perf_counter()
        if self.start.checkpoint is not None:
            return
        try:
            path = self._write(0, 0)
        except OSError as error:
            raise UserError(
                f"The first checkpoint cannot be written to {self.checkpoints.folder}: {error.strerror}. Nothing was "
                "trained yet: make room, or choose another --run_dir."
            ) from None
        if not self.chief:
            return
        needed = path.stat().st_size * (self.checkpoints.keep + 2)  # and the best and the final model
        free = shutil.disk_usage(path.parent).free
        if free < needed:
            raise UserError(
                f"{self.checkpoints.folder} has room for {free / 2**20:,.0f} MiB; a run of this network wants "
                f"{needed / 2**20:,.0f}. Nothing was trained yet: make room, or choose another --run_dir."
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if epoch == self.start.epoch:
            self.start.restore_metrics(self.model)
        else:
            self._save(epoch, 0)

    def on_test_batch_end(self, batch, logs=None):
        self.stop.raise_lost_interrupt()

    def on_train_batch_end(self, batch, logs=None):
        self.stop.raise_lost_interrupt()
        step = batch + 1
        if self._epoch == self.start.epoch and step <= self.start.step:
            return  # made before
        every = self.config.checkpoint_steps
        due = every and step < self.steps and (self._epoch * self.steps + step) % every == 0
        if due or (self.stop.requested and not across_machines(self.model.distribute_strategy)):
            self._save(self._epoch, step, logs)

    def on_train_end(self, logs=None):
        self._save(self.config.epochs, 0)

    def _save(self, epoch, step, logs=None):
        failure = None
        try:
            self._write(epoch, step, logs)
        except OSError as error:
            failure = error.strerror
            print(
                f"The checkpoint of epoch {epoch + 1}, step {step} cannot be written to {self.checkpoints.folder}: "
                f"{failure}. Training goes on, and the next is tried; make room now, or what comes after the last "
                "checkpoint is lost when the process ends.",
                file=sys.stderr,
                flush=True,
            )
        if agreed(self.model.distribute_strategy, self.stop.requested):
            saved = "What came after the last checkpoint is lost" if failure else "Everything is saved"
            run = self.run.path if self.chief else "RUN"
            text = f"Stopped by SIGTERM. {saved}; go on with: encapnet train --resume={run}"
            raise UserError(text, status=StopSignal.status)

    def _write(self, epoch, step, logs=None):
        arrays = training_state.collect(self.model)
        if (wrong := training_state.not_finite(self.model, arrays)) is not None:
            raise self.watch.stop(f"{wrong} became NaN or infinite", epoch * self.steps + step)
        if not self.chief:
            return None
        state = {
            "config": self.config.to_json(),
            "epoch": epoch,
            "step": step,
            "steps_per_epoch": self.steps,
            "seconds": self.seconds,
            "logs": {name: float(value) for name, value in (logs or {}).items()},
            "best": self.best.state(),
            "random": training_state.random_state(),
        }
        best_model = self.run.file(RunDirectory.best_model_file) if self.best.epoch is not None else None
        return self.checkpoints.save(epoch * self.steps + step, Checkpoint(arrays, state), best_model)
