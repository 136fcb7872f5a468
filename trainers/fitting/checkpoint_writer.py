"""Keras callback that writes checkpoints during training and stops training on SIGTERM."""

import shutil
import sys
import time
from pathlib import Path

import keras

from ..config.schema import Config
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .callbacks import BestModel
from .checkpoints import training_state
from .checkpoints.checkpoint import Checkpoint, Checkpoints
from .checkpoints.resume import Start
from .interruption import StopSignal
from .non_finite import NonFiniteWatch
from .strategy import any_worker, is_multi_worker


class CheckpointWriter(keras.callbacks.Callback):
    """Keras callback that writes checkpoints before each epoch, at regular steps within an epoch, and on SIGTERM.

    After SIGTERM it ends training with a `UserError` of exit status 143. With several workers, SIGTERM to any of them
    ends all at the next checkpoint, because they collect the variables together; only the chief writes.

    The first checkpoint is written before the first step, so that a folder without space is reported before any work is
    lost. If a later checkpoint cannot be written, the failure is printed and training continues.

    It must come after callbacks that change the model, such as the swap to averaged weights.

    `keras.callbacks.ModelCheckpoint` and `BackupAndRestore` do not save the position in the data, the metrics of an
    unfinished epoch and the random generators, all of which an exact resume needs, nor a checksum.

    Args:
        run: the run's folder.
        checkpoints: the run's checkpoints.
        config: the run's configuration.
        steps: steps an epoch.
        best: the callback that saves the run's best model.
        start: where training begins.
        stop: flags of SIGTERM and Ctrl-C.
        watch: the callback that makes the error for weights that are not finite.
        chief: whether this process writes.
    """

    def __init__(
        self,
        *,
        run: RunDirectory,
        checkpoints: Checkpoints,
        config: Config,
        steps: int,
        best: BestModel,
        start: Start,
        stop: StopSignal,
        watch: NonFiniteWatch,
        chief: bool = True,
    ):
        super().__init__()
        self.run, self.checkpoints, self.config, self.steps = run, checkpoints, config, steps
        self.best, self.start, self.stop = best, start, stop
        self.watch, self.chief = watch, chief
        self._epoch, self._start_time = start.epoch, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Total training time in seconds, including the time before any interruption."""
        return self.start.seconds + time.perf_counter() - self._start_time

    def on_train_begin(self, logs=None):
        self._start_time = time.perf_counter()
        if self.start.checkpoint is not None:
            return
        try:
            path = self._write(0, 0)
        except OSError as error:
            raise UserError(
                f"The first checkpoint cannot be written to {self.checkpoints.folder}: {error.strerror}. Nothing was "
                "trained yet: free some disk space, or choose another --run_dir.",
                status=1,
            ) from None
        if path is not None:
            self._check_free_space(path)

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
            return  # trained before the resume; `skip_steps` lets it pass
        every = self.config.checkpoint_steps
        due = every and step < self.steps and (self._epoch * self.steps + step) % every == 0
        if due or (self.stop.requested and not is_multi_worker(self.model.distribute_strategy)):
            self._save(self._epoch, step, logs)

    def on_train_end(self, logs=None):
        self._save(self._epoch + 1, 0)  # not `config.epochs`, before which training may have stopped

    def _check_free_space(self, first_checkpoint: Path) -> None:
        required = first_checkpoint.stat().st_size * (self.checkpoints.keep + 2)  # + the best and the final model
        free = shutil.disk_usage(first_checkpoint.parent).free
        if free < required:
            raise UserError(
                f"{self.checkpoints.folder} has room for {free / 2**20:,.0f} MiB; this network's run needs "
                f"{required / 2**20:,.0f} MiB. Nothing was trained yet: free some space, or choose another --run_dir."
            )

    def _save(self, epoch, step, logs=None):
        """Write a training checkpoint, and stop training if the process has received SIGTERM.

        If the checkpoint cannot be written, the reason is printed.
        """
        failure = None
        try:
            self._write(epoch, step, logs)
        except OSError as error:
            failure = error.strerror
            print(
                f"The checkpoint of epoch {epoch + 1}, step {step} cannot be written to {self.checkpoints.folder}: "
                f"{failure}. Training continues and will try the next checkpoint; free some disk space, or the steps "
                "after the last checkpoint are lost when the process ends.",
                file=sys.stderr,
                flush=True,
            )
        if any_worker(self.model.distribute_strategy, self.stop.requested):
            loss = "The steps after the last checkpoint are lost" if failure else "Everything is saved"
            message = f"Stopped by SIGTERM. {loss}; resume with: encapnet train --resume={self.run.path}"
            raise UserError(message, status=StopSignal.status)

    def _write(self, epoch, step, logs=None) -> Path | None:
        """Write the current training state to a checkpoint file.

        Args:
            epoch: the epoch, counted from 0.
            step: steps of that epoch before the checkpoint.
            logs: logs of the last of these steps.

        Returns:
            The file; None in a process that does not write.

        Raises:
            UserError: a weight is NaN or infinite.
        """
        arrays = training_state.collect(self.model)
        if (variable := training_state.first_non_finite(self.model, arrays)) is not None:
            last_epoch, last_step = (epoch, step) if step or not epoch else (epoch - 1, self.steps)
            raise self.watch.error(f"{variable} became NaN or infinite", last_epoch, last_step)
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
