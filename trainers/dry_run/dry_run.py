"""Dry run of training, which prepares a run and trains three steps without writing any file."""

import math

from ..config.schema import Config
from ..fitting.checkpoints.continuation import Continuation
from ..fitting.checkpoints.resume import Start
from ..fitting.train import describe_run, find_origin
from ..fitting.training_setup import TrainingSetup
from ..runs.atomic_files import no_writing
from ..runs.run_directory import RunDirectory
from .description import describe_memory, describe_settings, describe_time
from .measurement import measure_steps


def dry_run(config: Config, continue_from: RunDirectory | None = None) -> None:
    """Print a training run's settings and network, and its time and memory estimated from three training steps.

    No file is written, no run folder is made, and the trained weights are discarded.

    Args:
        config: configuration of the run.
        continue_from: a run whose last checkpoint the run would begin with.

    Raises:
        UserError: devices, data or settings cannot be used, or the loss is not finite.
    """
    with no_writing():
        setup = TrainingSetup.of(config)
        origin = find_origin(setup, continue_from)
        if setup.chief:
            print(f"{describe_settings(config)}\n")
            setup.model.summary(print_fn=print)
            print("\n".join(describe_run(setup, origin)), flush=True)
        start = origin.start if isinstance(origin, Continuation) else Start()
        start.restore(setup.model)
        first_step = start.epoch * setup.steps + start.step
        measurement = measure_steps(setup, first_step)
    if not setup.chief:
        return
    validation_images = len(setup.dataset.validation)
    print(
        describe_time(
            measurement, config, steps=setup.steps, first_step=first_step, validation_images=validation_images
        )
    )
    print(describe_memory(measurement))
    if not math.isfinite(measurement.loss):
        print("The loss is not finite after three steps: a lower --learning_rate or --clip_norm=1 usually helps.")
    print("dry run: nothing was written")
