"""The training itself: data in, callbacks around `model.fit`, from the beginning or from a checkpoint."""

import sys

import keras

from encapnet_tf.callbacks import CollapseWatch
from encapnet_tf.keras_private import patch_multi_worker_training

from ..config.schema import Config
from ..data import naming_corrupt
from ..data.augmentation.augment import Augmentation
from ..data.pipeline.batches import evaluation_batches, training_batches
from ..runs.run_directory import RunDirectory
from . import resume, training_state
from .callbacks import AgreementLog, BestModel, MetricsLog
from .checkpoint import Checkpoints
from .checkpointing import Checkpointing
from .network import compile_model
from .non_finite import NotANumber
from .progress import ProgressBar
from .replica_batches import shared, validation_batches
from .stop_signal import StopSignal
from .strategy import across_machines, agreed, lost_workers_told
from .tensorboard_extras import TensorBoardExtras

PROBE_IMAGES = 128  # validation images on which extractors and the agreement of capsules are watched


def fit(model, config: Config, dataset, steps: int, run: RunDirectory, resumed: bool, chief: bool = True):
    """Trains a network to the end of its epochs.

    Args:
        model: the network, not compiled.
        config: the run's configuration.
        dataset: its data.
        steps: steps an epoch.
        run: its folder, which this process has locked if it is the chief.
        resumed: whether the run goes on from its newest checkpoint.
        chief: whether this process writes the run; another one takes part in its steps only.

    Returns:
        The `BestModel`, and the seconds that training took, those before the checkpoint included.

    Raises:
        UserError: a checkpoint does not fit or cannot be written, the loss became NaN, SIGTERM came, or
            another worker is gone.
    """
    strategy = model.distribute_strategy
    checkpoints = (
        Checkpoints(run.file(RunDirectory.checkpoints_folder), config.keep_checkpoints) if chief or resumed else None
    )
    start = _start(strategy, run, checkpoints, config, steps, chief) if resumed else resume.Start()
    augmentation = Augmentation(config.augment, dataset.views, len(dataset.class_names))
    one_hot = len(dataset.class_names) if augmentation.mixes else None
    with strategy.scope():
        needed = compile_model(model, config, steps, augmentation.mixes)
    if across_machines(strategy):
        patch_multi_worker_training(model)
    training_state.build(model, (one_hot,) if one_hot else ())
    start.restore(model)
    best = BestModel(run, start.checkpoint and start.checkpoint.state["best"])
    if start.epoch == config.epochs:  # only what comes after training was cut off
        return best, start.seconds
    resume.skip_steps(model, start.step, start.logs)

    def batches_from(first_step):
        size, seed = config.batch_size, config.seed
        return shared(training_batches(dataset.train, size, config.epochs, seed, augmentation, first_step))

    told = (lambda text: print(text, flush=True)) if chief else None
    validation = validation_batches(dataset, strategy.num_replicas_in_sync, one_hot, told)
    with StopSignal() as stop:
        watch = NotANumber(checkpoints, batches_from, steps)
        saving = Checkpointing(run, checkpoints, config, steps, best, start, stop, watch, chief)
        # An image that is read only now may be at fault.
        with lost_workers_told(strategy, run), naming_corrupt(dataset.train, dataset.validation):
            written = []
            if chief:
                ((samples, _),) = batches_from(0).take(1)
                written = _written(run, config, dataset, best, samples)
                if sys.stdout.isatty():
                    written.insert(0, ProgressBar(config.batch_size, steps, config.epochs, start))
            model.fit(
                batches_from(start.epoch * steps + start.step),
                validation_data=validation,
                initial_epoch=start.epoch,
                epochs=config.epochs,
                steps_per_epoch=steps,
                shuffle=False,  # The pipeline shuffles.
                verbose=0,
                callbacks=[watch, *needed, *written, saving],
            )
    return best, saving.seconds


def _start(strategy, run, checkpoints, config, steps, chief):
    """Where a run goes on. Other workers look when the chief has set damaged checkpoints aside."""
    if not chief:
        agreed(strategy, False)
    start = resume.start(run, checkpoints, config, steps, chief)
    if chief:
        agreed(strategy, False)
    return start


def _written(run, config, dataset, best, samples):
    """The callbacks of what a run writes."""
    images, labels = _probe(dataset)
    return [
        *([CollapseWatch(images)] if config.feedback != "none" else []),
        best,
        AgreementLog(run, routing_epochs(config), images, labels),
        MetricsLog(run, config.epochs),
        keras.callbacks.TensorBoard(run.file("tensorboard"), write_graph=False),
        TensorBoardExtras(run.file("tensorboard"), images, labels, samples),
    ]


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
