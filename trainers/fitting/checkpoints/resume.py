"""Resumption of an interrupted training run from the newest undamaged checkpoint."""

from dataclasses import dataclass, replace

import keras

from ...config.recipes import resolve
from ...config.run_config import PATHS, read_run_config
from ...config.schema import Config
from ...runs.errors import UserError
from ...runs.run_directory import RunDirectory
from . import training_state
from .checkpoint import Checkpoint, Checkpoints


@dataclass(frozen=True)
class Start:
    """Epoch and step at which training starts or resumes, and the checkpoint to restore.

    Attributes:
        epoch: the first epoch to train, counted from 0.
        step: the first step to train in that epoch, counted from 0.
        seconds: training time before the checkpoint.
        checkpoint: the checkpoint; None for a run from the beginning.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    checkpoint: Checkpoint | None = None

    def restore(self, model: keras.Model) -> None:
        """Restore model weights, optimizer state and random generators from a checkpoint."""
        if self.checkpoint is not None:
            training_state.restore(model, self.checkpoint.arrays, "model")
            training_state.restore(model, self.checkpoint.arrays, "optimizer")
            training_state.restore_random_state(self.checkpoint.state["random"])

    @property
    def logs(self) -> dict:
        """Loss and metrics (Keras `logs`) that were saved in a checkpoint in the middle of an epoch.

        Empty if training starts with a new epoch.
        """
        return self.checkpoint.state["logs"] if self.checkpoint is not None and self.step else {}

    def restore_metrics(self, model: keras.Model) -> None:
        """Restore a model's metrics from a checkpoint that was saved in the middle of an epoch.

        Do nothing if training does not resume in the middle of an epoch.

        Call it after `fit` has reset them for the epoch.
        """
        if self.checkpoint is not None and self.step:
            training_state.restore(model, self.checkpoint.arrays, "metrics")


def configuration(run: RunDirectory, recipe: str | None, flags: dict) -> Config:
    """Read an interrupted training run's settings, and raise `UserError` if a command-line flag contradicts them.

    Flags may say where the data are now.

    Args:
        run: the run's folder.
        recipe: the recipe on the command line; None where there is none.
        flags: setting -> value on the command line.

    Raises:
        UserError: a flag has another value than the run, other than for the place of the data; or the data are not
            where they were.
    """
    moved = {name: flags[name] for name in PATHS if name in flags}
    config = replace(read_run_config(run, data_needed=not moved), **moved)
    requested = resolve(recipe or config.recipe, flags)
    names = (*flags, *(["recipe"] if recipe else []))
    _check_same_settings({name: getattr(requested, name) for name in names}, config, "on the command line")
    return config


def find_start(run: RunDirectory, checkpoints: Checkpoints, config: Config, steps: int, *, chief: bool = True) -> Start:
    """Find the newest undamaged checkpoint, and return the epoch and step at which training resumes.

    Args:
        run: the run's folder, locked.
        checkpoints: its checkpoints.
        config: its configuration.
        steps: steps an epoch.
        chief: whether this process writes the run. Any other process changes nothing; it must call this function after
            the chief has.

    Raises:
        UserError: all checkpoints are damaged, or the newest belongs to another configuration or other data.
    """

    def report(line):
        if chief:
            print(line, flush=True)

    has_checkpoints = bool(checkpoints.paths())
    newest = checkpoints.newest(report)
    if newest is None:
        if has_checkpoints:
            raise UserError(f"Every checkpoint in {checkpoints.folder} is damaged. Start a new run.", status=1)
        report("There is no checkpoint yet: training starts from the beginning.")
        return Start()
    path, checkpoint = newest
    state = checkpoint.state
    _check_same_settings(Config.from_json(state["config"]).__dict__, config, f"in {path.name}")
    if state["steps_per_epoch"] != steps:
        raise UserError(
            f"{path} has {state['steps_per_epoch']} steps an epoch; the data now give {steps}. A run can resume only "
            "with the data that it began with."
        )
    report(f"resumes at epoch {state['epoch'] + 1}, step {state['step'] + 1}, from {path}")
    if chief:
        _reset_files(run, checkpoints, path, state["epoch"])
    return Start(state["epoch"], state["step"], state["seconds"], checkpoint)


def _reset_files(run, checkpoints, path, epoch):
    """Reset the best model and the log files of a training run to the state at the time of a checkpoint."""
    checkpoints.restore_best_model(path, run.file(RunDirectory.best_model_file))
    for file in (RunDirectory.metrics_file, RunDirectory.agreement_file):
        if run.file(file).exists():
            run.write_json_lines(file, [row for row in run.read_json_lines(file) if row["epoch"] <= epoch])


def skip_steps(model: keras.Model, steps: int, logs: dict) -> None:
    """Make the next `model.fit` skip its first steps, so that training resumes in the middle of an epoch.

    `fit` counts these steps and calls callbacks for them. The data must begin after them.

    Args:
        model: a compiled model.
        steps: number of steps to skip.
        logs: the logs that the skipped steps return.
    """
    if not steps:
        return
    model.make_train_function(force=True)
    train_step, remaining = model.train_function, steps

    def train_function(iterator):
        nonlocal remaining
        if not remaining:
            return train_step(iterator)
        remaining -= 1
        return logs

    model.train_function = train_function


def _check_same_settings(values: dict, config: Config, place: str) -> None:
    """Raise `UserError` if settings for a resumed training run differ from the saved configuration.

    Args:
        values: setting -> value.
        config: the run's configuration.
        place: where the values come from, for the message.
    """
    names = [name for name, value in values.items() if name not in PATHS and getattr(config, name) != value]
    if names:
        lines = "\n".join(f"  {name}: {getattr(config, name)} in the run, {values[name]} {place}" for name in names)
        raise UserError(
            f"A run can resume only with its own configuration. These settings differ:\n{lines}\nLeave them out, or "
            "start a new run."
        )
