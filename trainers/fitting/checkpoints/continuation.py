"""Configuration and checkpoint with which a new training run continues an earlier run.

The new run begins with a copy of the earlier run's newest undamaged checkpoint and of the log before it, so that it
resumes like any other run. The earlier run is only read.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from ...config.recipes import override
from ...config.run_config import PATHS, read_run_config
from ...config.schema import Config
from ...config.setting import as_flag
from ...data.augmentation.views import ENLARGE
from ...runs.counting import counted
from ...runs.errors import UserError
from ...runs.run_directory import RunDirectory
from . import training_state
from .checkpoint import Checkpoint, Checkpoints, best_model_of
from .resume import Start

# Settings that do not change which variables a checkpoint holds, nor the images and steps that it counts.
MAY_CHANGE = (
    *("epochs", "early_stopping", "learning_rate", "schedule", "milestones", "epoch_decay"),
    *("l2", "weight_decay", "clip_norm", "reconstruction_weight", "augment", "flip", *PATHS, "cache_gib"),
    *("jit_compile", "strategy", "replicas", "synchronized", "sync_replicas", "deterministic"),
    *("checkpoint_steps", "keep_checkpoints", "routing_epochs"),
)


def configuration(run: RunDirectory, recipe: str | None, flags: dict) -> Config:
    """Return the configuration of an earlier training run, with settings changed by the flags of the new run.

    Args:
        run: the earlier run.
        recipe: the recipe on the command line; None where there is none.
        flags: setting -> value on the command line.

    Raises:
        UserError: a flag changes a setting that must stay, or the data are not where they were.
    """
    moved = any(name in flags for name in PATHS)
    earlier = read_run_config(run, data_needed=not moved)
    flags = {**flags, **({"recipe": recipe} if recipe else {})}
    config = override(earlier, flags)
    changed = [name for name in flags if getattr(config, name) != getattr(earlier, name)]
    refused = [name for name in changed if name not in MAY_CHANGE]
    if ENLARGE[config.augment[0]] != ENLARGE[earlier.augment[0]]:
        refused.append("augment")  # it changes the part of an image that validation sees, too
    if refused:
        lines = "\n".join(
            f"  {name}: {as_flag(theirs)} in the run, {as_flag(ours)} on the command line"
            for name, theirs, ours in ((name, getattr(earlier, name), getattr(config, name)) for name in refused)
        )
        raise UserError(
            "--continue_from keeps the network, the data, the batches, the loss and the optimizer of the run. These "
            f"settings differ:\n{lines}\nLeave them out. To change them and keep the network, start from its weights "
            f"alone: encapnet train --init_weights={run.path}"
        )
    return config


@dataclass(frozen=True)
class Continuation:
    """Checkpoint of an earlier training run from which a new run continues.

    Attributes:
        run: the earlier run.
        path: its checkpoint.
        checkpoint: the checkpoint, with the configuration of the new run.
        earlier: configuration of the earlier run.
        config: configuration of the new run.
    """

    run: RunDirectory
    path: Path
    checkpoint: Checkpoint
    earlier: Config
    config: Config

    @classmethod
    def find(
        cls, run: RunDirectory, config: Config, steps: int, report: Callable[[str], None] = print
    ) -> "Continuation":
        """Find the newest undamaged checkpoint of an earlier run, for a new run to continue from.

        Args:
            run: the earlier run, of which nothing is changed.
            config: configuration of the new run.
            steps: steps an epoch of the new run.
            report: function that receives a line about each damaged checkpoint.

        Raises:
            UserError: there is no such checkpoint, it has all epochs behind it, or it belongs to other data.
        """
        folder = run.file(RunDirectory.checkpoints_folder)
        newest = Checkpoints(folder).newest(report, rename_damaged=False)
        if newest is None:
            raise UserError(
                f"--continue_from={run.path}: there is no undamaged checkpoint in {folder}. To start from the weights "
                f"of the run's best model: encapnet train --init_weights={run.path}"
            )
        path, checkpoint = newest
        state = checkpoint.state
        if state["epoch"] >= config.epochs:
            raise UserError(
                f"--continue_from={run.path}: the run has trained {counted(state['epoch'], 'epoch')} already, which is "
                f"all that --epochs={config.epochs} asks for, because it counts the epochs of both runs. "
                f"--epochs={state['epoch'] + 10} trains 10 more."
            )
        if state["steps_per_epoch"] != steps:
            raise UserError(
                f"--continue_from={run.path}: its epochs have {counted(state['steps_per_epoch'], 'step')}, those of "
                f"the data now {steps}. A run can be continued only with its own data. With other data, start from its "
                f"weights: encapnet train --init_weights={run.path}"
            )
        earlier = Config.from_json(state["config"])
        return cls(run, path, replace(checkpoint, state={**state, "config": config.to_json()}), earlier, config)

    def adapted_to(self, optimizer: keras.optimizers.Optimizer) -> "Continuation":
        """Convert an earlier run's optimizer state to match the learning-rate schedule of the new run.

        A constant learning rate is a variable of the optimizer, while other schedules are functions of its step. Return
        a copy of this continuation.

        Args:
            optimizer: the optimizer of the new run, built.
        """
        values = list(self.checkpoint.arrays["optimizer"])
        place = training_state.place_of_learning_rate(optimizer)
        if self.earlier.schedule == "constant":
            del values[place]
        if self.config.schedule == "constant":
            values.insert(place, np.array(self.config.learning_rate, "float32"))
        arrays = {**self.checkpoint.arrays, "optimizer": values}
        return replace(self, checkpoint=replace(self.checkpoint, arrays=arrays))

    @property
    def start(self) -> Start:
        """Epoch and step at which the new run continues an earlier run, with the checkpoint to restore."""
        state = self.checkpoint.state
        return Start(state["epoch"], state["step"], state["seconds"], self.checkpoint)

    def copy_to(self, run: RunDirectory) -> None:
        """Copy an earlier run's checkpoint, best model and logs to the new run's folder.

        Log rows after the checkpoint are left out.

        Raises:
            UserError: a file cannot be read or written.
        """
        state = self.checkpoint.state
        best_model = best_model_of(self.path)
        try:
            if has_best_model := best_model.exists():
                with run.replacing(RunDirectory.best_model_file) as path:
                    shutil.copyfile(best_model, path)
            for file in (RunDirectory.metrics_file, RunDirectory.agreement_file):
                if self.run.file(file).exists():
                    rows = self.run.read_json_lines(file)
                    run.write_json_lines(file, [row for row in rows if row["epoch"] <= state["epoch"]])
            checkpoints = Checkpoints(run.file(RunDirectory.checkpoints_folder), self.config.keep_checkpoints)
            checkpoints.save(
                state["epoch"] * state["steps_per_epoch"] + state["step"],
                self.checkpoint,
                run.file(RunDirectory.best_model_file) if has_best_model else None,
            )
        except OSError as error:
            raise UserError(
                f"The checkpoint {self.path} cannot be copied to {run.path}: {error.strerror}. Nothing was trained "
                "yet: free some disk space, or choose another --run_dir.",
                status=1,
            ) from None

    def lines(self) -> list[str]:
        """Describe in words the epoch at which training continues, and the number of remaining epochs."""
        start, epochs = self.start, self.config.epochs
        place = f"step {start.step + 1} of epoch {start.epoch + 1}" if start.step else f"epoch {start.epoch + 1}"
        return [
            f"continues {self.run.path} at {place}, up to epoch {epochs}: {epochs - start.epoch} more. "
            f"--epochs={epochs} counts the epochs of both runs"
        ]

    def record(self) -> dict:
        """Return a JSON-compatible dictionary that names the checkpoint from which the new run continues.

        It also holds the earlier run, its number of epochs, and the epoch and step of the checkpoint.
        """
        start = self.start
        values = {"run": str(self.run.path.resolve()), "checkpoint": self.path.name}
        return {"continued_from": {**values, "epoch": start.epoch, "step": start.step, "epochs": self.earlier.epochs}}
