"""Going on with a run that was cut off: same configuration, same data order, from its newest whole checkpoint."""

from dataclasses import dataclass

from ..config.recipes import resolve
from ..config.schema import Config
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from . import training_state
from .checkpoint import Checkpoint, Checkpoints


@dataclass(frozen=True)
class Start:
    """Where training begins: the first epoch and step (from 0), and what was there before, if anything was."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    checkpoint: Checkpoint | None = None

    def restore(self, model):
        """Gives a built model, its optimizer and the random generators the checkpoint's state."""
        if self.checkpoint is not None:
            training_state.restore(model, self.checkpoint.arrays, "model")
            training_state.restore(model, self.checkpoint.arrays, "optimizer")
            training_state.restore_random_state(self.checkpoint.state["random"])

    @property
    def logs(self) -> dict:
        """What the step before the first one logged."""
        return self.checkpoint.state["logs"] if self.step else {}

    def restore_metrics(self, model):
        """Gives the metrics what they had gathered of a broken epoch; `fit` sets them to 0 as the epoch begins."""
        if self.step:
            training_state.restore(model, self.checkpoint.arrays, "metrics")


def configuration(run: RunDirectory, recipe: str | None, given: dict) -> Config:
    """The configuration of a run that is to go on.

    Args:
        run: its folder.
        recipe: the recipe named on the command line; None where none is.
        given: setting -> value from the command line.

    Raises:
        UserError: something given is not what the run has.
    """
    config = Config.from_json(run.read_json(RunDirectory.config_file, "config")["config"])
    asked = resolve(recipe or config.recipe, given)
    _refuse({name: getattr(asked, name) for name in (*given, *(["recipe"] if recipe else []))}, config, "asked for now")
    return config


def start(run: RunDirectory, checkpoints: Checkpoints, config: Config, steps: int, chief: bool = True) -> Start:
    """Finds where a run goes on, and takes its files back to what they were there.

    Args:
        run: its folder, locked.
        checkpoints: the run's.
        config: its configuration.
        steps: steps an epoch.
        chief: whether this process writes the run. Another one calls it after the chief has, and changes nothing.

    Raises:
        UserError: every checkpoint is damaged, or the newest is of another configuration or of other data.
    """

    def told(text):
        if chief:
            print(text, flush=True)

    any_at_all = bool(checkpoints.paths())
    found = checkpoints.newest(told)
    if found is None:
        if any_at_all:
            raise UserError(f"Every checkpoint in {checkpoints.folder} is damaged. Start a new run.", status=1)
        told("There is no checkpoint yet: training starts from the beginning.")
        return Start()
    path, checkpoint = found
    state = checkpoint.state
    _refuse(Config.from_json(state["config"]).__dict__, config, f"in {path.name}")
    if state["steps_per_epoch"] != steps:
        raise UserError(
            f"{path} has {state['steps_per_epoch']} steps an epoch; the data now give {steps}. A run goes on with the "
            "data it began with only."
        )
    told(f"goes on: epoch {state['epoch'] + 1}, step {state['step'] + 1}, from {path}")
    if chief:
        _take_back(run, checkpoints, path, state["epoch"])
    return Start(state["epoch"], state["step"], state["seconds"], checkpoint)


def _take_back(run, checkpoints, path, epoch):
    """The run's files as they were at a checkpoint: what came after it comes again."""
    checkpoints.restore_best_model(path, run.file(RunDirectory.best_model_file))
    for file in (RunDirectory.metrics_file, RunDirectory.agreement_file):
        if run.file(file).exists():
            run.write_json_lines(file, [row for row in run.read_json_lines(file) if row["epoch"] <= epoch])


def skip_steps(model, steps: int, logs: dict):
    """Lets the first `steps` steps of the next `fit` pass without doing anything, so that an epoch goes on within.

    `fit` counts, shows and ends the epoch as if they had been made. Data must begin at the step after them.

    Args:
        model: compiled.
        steps: how many.
        logs: what the last of them logged.
    """
    if not steps:
        return
    model.make_train_function(force=True)
    step_function, left = model.train_function, steps

    def train_function(iterator):
        nonlocal left
        if not left:
            return step_function(iterator)
        left -= 1
        return logs

    model.train_function = train_function


def _refuse(values, config, where):
    differing = [name for name, value in values.items() if getattr(config, name) != value]
    if differing:
        told = "\n".join(f"  {name}: {getattr(config, name)} in the run, {values[name]} {where}" for name in differing)
        raise UserError(
            f"A run goes on with its own configuration only. These settings differ:\n{told}\nLeave them out, or start "
            "a new run."
        )
