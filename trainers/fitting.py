"""The training itself: data in, callbacks around `model.fit`, from the beginning or from a checkpoint."""

import sys

import keras
import tensorflow as tf

from encapnet_tf.callbacks import CollapseWatch

from . import resume, training_state
from .callbacks import AgreementLog, BestModel, MetricsLog, NotANumber
from .checkpoint import Checkpoints
from .checkpointing import Checkpointing
from .config import Config
from .data.augment import Augmentation
from .data.pipeline import evaluation_batches, training_batches
from .network import compile_model
from .predictions import PREDICT_BATCH
from .run_directory import RunDirectory
from .stop_signal import StopSignal

PROBE_IMAGES = 128  # validation images on which extractors and the agreement of capsules are watched


def fit(model, config: Config, dataset, steps: int, run: RunDirectory, resumed: bool) -> tuple[BestModel, float]:
    """Trains a network to the end of its epochs.

    Args:
        model: the network, not compiled.
        config: the run's configuration.
        dataset: its data.
        steps: steps an epoch.
        run: its folder, locked.
        resumed: whether the run goes on from its newest checkpoint.

    Returns:
        What keeps the best model, and the seconds that training took, those before the checkpoint included.

    Raises:
        UserError: a checkpoint does not fit or cannot be written, the loss became NaN, or SIGTERM came.
    """
    checkpoints = Checkpoints(run.file(RunDirectory.checkpoints_folder), config.keep_checkpoints)
    start = resume.start(run, checkpoints, config, steps) if resumed else resume.Start()
    augmentation = Augmentation(config.augment, dataset.views, len(dataset.class_names))
    needed = compile_model(model, config, steps, augmentation.mixes)
    training_state.build(model, (len(dataset.class_names),) if augmentation.mixes else ())
    start.restore(model)
    best = BestModel(run, start.checkpoint and start.checkpoint.state["best"])
    if start.epoch == config.epochs:  # only what comes after training was cut off
        return best, start.seconds
    resume.skip_steps(model, start.step, start.logs)
    with StopSignal() as stop:
        saving = Checkpointing(run, checkpoints, config, steps, best, start, stop)
        try:
            images, labels = _probe(dataset)
            model.fit(
                training_batches(
                    dataset.train, config.batch_size, config.epochs, config.seed, augmentation,
                    first_step=start.epoch * steps + start.step,
                ),
                validation_data=evaluation_batches(
                    dataset.validation, PREDICT_BATCH, dataset.views.test,
                    len(dataset.class_names) if augmentation.mixes else None,
                ),
                initial_epoch=start.epoch,
                epochs=config.epochs,
                steps_per_epoch=steps,
                shuffle=False,  # The pipeline shuffles.
                verbose=1 if sys.stdout.isatty() else 0,
                callbacks=[
                    NotANumber(),
                    *needed,
                    *([CollapseWatch(images)] if config.feedback != "none" else []),
                    best,
                    AgreementLog(run, routing_epochs(config), images, labels),
                    MetricsLog(run, config.epochs),
                    keras.callbacks.TensorBoard(run.file("tensorboard"), write_graph=False),
                    saving,
                ],
            )  # fmt: skip
        except tf.errors.OpError:
            for split in (dataset.train, dataset.validation):  # an image read only now may be at fault
                split.refuse_corrupt()
            raise
    return best, saving.seconds


def _probe(dataset):
    """A few validation images, as the network takes them, and their labels."""
    split = dataset.validation.take(range(min(PROBE_IMAGES, len(dataset.validation))))
    (batch,) = evaluation_batches(split, PROBE_IMAGES, dataset.views.test)
    return tuple(part.numpy() for part in batch)


def routing_epochs(config: Config) -> tuple[int, ...]:
    """The epochs to record the capsules' agreement at: first, 10 %, 40 % and last, as in Fig. 2, or those given."""
    if config.routing_epochs is not None:
        return config.routing_epochs
    return tuple(sorted({1, *(max(1, round(config.epochs * share)) for share in (0.1, 0.4, 1))}))
