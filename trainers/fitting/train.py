"""Training of one model from a configuration, with checkpoints and results in a folder."""

import sys
from collections.abc import Iterable
from contextlib import nullcontext

import keras

from encapnet_tf.callbacks import CollapseWatch
from encapnet_tf.keras_private import patch_multi_worker_training

from .. import data
from ..config.naming import series_name
from ..config.schema import Config
from ..data.pipeline.batches import evaluation_batches, training_batches
from ..runs.counting import counted
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from . import network, training_state
from .callbacks import AgreementLog, BestModel, MetricsLog, TensorBoardExtras
from .checkpoint import Checkpoints
from .checkpoint_writer import CheckpointWriter
from .compiling_line import CompilingLine
from .interruption import StopSignal, interruption_as_user_error
from .non_finite import Diagnosis, NonFiniteWatch
from .progress import ProgressBar
from .record import describe_compilation, describe_recipe, parameter_count, record_results, record_resume, record_start
from .resume import Start, find_start, skip_steps
from .strategy import (
    chief_first,
    is_chief,
    is_multi_worker,
    prepare,
    shard_for_workers,
    validation_batches,
    worker_failure_as_user_error,
)

_LOGGED_IMAGES = 128  # validation images on which extractors and the agreement of capsules are measured


def train(
    config: Config,
    run_dir=None,
    resume: RunDirectory | None = None,
    callbacks: Iterable[keras.callbacks.Callback] = (),
) -> tuple[RunDirectory, dict] | None:
    """Train one model, and write checkpoints, the best model, logs and a report to a folder.

    Args:
        config: the run's configuration.
        run_dir: the run's folder, which must not exist; None creates `runs/<recipe, or the data's name>/<time>`.
        resume: an interrupted run to resume instead; `config` must be that run's own.
        callbacks: Keras callbacks for `model.fit`. Each is called after the library's own callbacks (progress, metrics,
            best model) and before the checkpoint is written, so that a checkpoint holds the changes that it makes to
            the model. When a run resumes within an epoch, `on_train_batch_begin` and `on_train_batch_end` are called
            for that epoch's earlier steps too; `model.optimizer.iterations` stays the same during these.

    Returns:
        The run's folder and its summary; None in a worker process that is not the chief.

    Raises:
        UserError: devices, data, settings or folder cannot be used, another process writes the run, the loss became
            NaN, or the run was interrupted.
    """
    callbacks = tuple(callbacks)
    strategy = prepare(config)  # before TensorFlow creates its devices
    chief = not is_multi_worker(strategy) or is_chief()
    dataset = data.load(config)
    dataset.test.raise_if_corrupt()  # test images are read after training, when it would be too late to reject one
    steps = len(dataset.train) // config.batch_size
    if not steps:
        raise UserError(
            f"--batch_size={config.batch_size} is more than the {len(dataset.train)} training images, so there is no "
            "full batch for a training step. Use a smaller --batch_size."
        )
    keras.utils.set_random_seed(config.seed)
    with strategy.scope() if strategy else nullcontext():
        model = network.build(config, dataset.image_shape, len(dataset.class_names))
    if not chief:  # a worker that takes part in the steps and writes nothing
        run = resume or RunDirectory("RUN")  # a placeholder in messages: only the chief knows the folder of a new run
        _fit(model, config, dataset, run, steps=steps, resumed=bool(resume), chief=False, callbacks=callbacks)
        return None
    run = resume or RunDirectory.create(series_name(config), run_dir)
    with run.locked(), interruption_as_user_error(run):
        if resume is None:
            record_start(run, config)
        else:
            record_resume(run)
        _print_start(run, model, config, dataset, steps)
        best, seconds = _fit(
            model, config, dataset, run, steps=steps, resumed=bool(resume), chief=True, callbacks=callbacks
        )
        summary = record_results(run, model, config, dataset, best=best, seconds=seconds)
    return run, summary


def _fit(
    model: keras.Model,
    config: Config,
    dataset: data.Dataset,
    run: RunDirectory,
    *,
    steps: int,
    resumed: bool,
    chief: bool,
    callbacks: tuple[keras.callbacks.Callback, ...],
) -> tuple[BestModel, float]:
    """Train a network from the beginning or from the newest checkpoint up to the configured number of epochs.

    Args:
        model: the network, not compiled.
        config: the run's configuration.
        dataset: the data set.
        run: the run's folder, locked by this process if it is the chief.
        steps: steps an epoch.
        resumed: whether to begin at the run's newest checkpoint.
        chief: whether this process writes the run.
        callbacks: the caller's callbacks.

    Returns:
        The callback that saved the best model, and the training time in seconds, including the time before a resume.

    Raises:
        UserError: a checkpoint does not fit or cannot be written, the loss became NaN, SIGTERM arrived, or another
            worker was lost.
    """
    strategy = model.distribute_strategy
    augmentation = dataset.augmentation(config.augment)
    has_label_rows = network.labels_are_rows(config)
    one_hot_classes = len(dataset.class_names) if has_label_rows else None  # None: integer labels

    # 1. Where training begins.
    checkpoints, start = Checkpoints(run.file(RunDirectory.checkpoints_folder), config.keep_checkpoints), Start()
    if resumed:
        with chief_first(strategy, chief):  # the chief renames damaged checkpoints, and the others must not see them
            start = find_start(run, checkpoints, config, steps, chief=chief)

    # 2. The model, with the state of the checkpoint.
    with strategy.scope():
        schedules = network.compile_model(model, config, steps, has_label_rows)
    if is_multi_worker(strategy):
        patch_multi_worker_training(model)
    training_state.build(model, (one_hot_classes,) if one_hot_classes else ())  # the shape of one label
    start.restore(model)
    best = BestModel(run, start.checkpoint.state["best"] if start.checkpoint else None)
    if start.epoch == config.epochs:  # training was complete when the run was interrupted
        return best, start.seconds
    skip_steps(model, start.step, start.logs)  # so that `fit` counts the epoch's earlier steps, which are not repeated

    # 3. The data, from the first step that has not been made.
    def batches_from(first_step):
        return shard_for_workers(
            training_batches(dataset.train, config.batch_size, config.epochs, config.seed, augmentation, first_step)
        )

    print_line = (lambda line: print(line, flush=True)) if chief else None
    validation = validation_batches(dataset, strategy.num_replicas_in_sync, one_hot_classes, print_line)

    # 4. The epochs.
    watch = NonFiniteWatch(None if is_multi_worker(strategy) else Diagnosis(checkpoints, batches_from, steps))
    # Images are decoded during training, so a corrupt one may appear only now.
    corrupt_images_as_errors = data.corrupt_image_as_user_error(dataset.train, dataset.validation)
    with StopSignal() as stop, worker_failure_as_user_error(strategy, run), corrupt_images_as_errors:
        writer = CheckpointWriter(
            run=run,
            checkpoints=checkpoints,
            config=config,
            steps=steps,
            best=best,
            start=start,
            stop=stop,
            watch=watch,
            chief=chief,
        )
        loggers = _logging_callbacks(run, config, dataset, best, batches_from) if chief else []
        bar = ProgressBar(config.batch_size, steps, config.epochs, start) if chief and sys.stdout.isatty() else None
        with CompilingLine(steps, start) if chief else nullcontext() as line, bar or nullcontext():
            model.fit(
                batches_from(start.epoch * steps + start.step),
                validation_data=validation,
                initial_epoch=start.epoch,
                epochs=config.epochs,
                steps_per_epoch=steps,
                shuffle=False,  # the pipeline shuffles
                verbose=0,
                callbacks=[*filter(None, (line, bar)), watch, *schedules, *loggers, *callbacks, writer],
            )
    return best, writer.seconds


def _logging_callbacks(run, config, dataset, best, batches_from) -> list[keras.callbacks.Callback]:
    """Return the Keras callbacks that save the best model, metrics and TensorBoard files."""
    logged = dataset.validation.take(range(min(_LOGGED_IMAGES, len(dataset.validation))))
    ((images, labels),) = evaluation_batches(logged, _LOGGED_IMAGES, dataset.views.test).as_numpy_iterator()
    ((samples, _),) = batches_from(0).take(1)
    folder = run.file("tensorboard")
    return [
        *([CollapseWatch(images)] if config.feedback != "none" else []),
        best,
        AgreementLog(run, _agreement_epochs(config), images, labels),
        MetricsLog(run, config.epochs),
        keras.callbacks.TensorBoard(folder, write_graph=False),
        TensorBoardExtras(folder, images, labels, samples),
    ]


def _agreement_epochs(config: Config) -> tuple[int, ...]:
    """Return the epochs after which the similarity between capsules and the votes of lower capsules is logged.

    The default is those of the paper's Fig. 2: the first, those at 10 % and 40 %, and the last.
    """
    if config.routing_epochs is not None:
        return config.routing_epochs
    return tuple(sorted({1, *(max(1, round(config.epochs * share)) for share in (0.1, 0.4, 1))}))


def _print_start(run, model, config, dataset, steps):
    replicas = model.distribute_strategy.num_replicas_in_sync
    print(
        f"{describe_recipe(config)}: {len(dataset.train):,} training, {len(dataset.validation):,} validation and "
        f"{counted(len(dataset.test), 'test image')} of {'x'.join(map(str, dataset.image_shape))}; {config.model} with "
        f"{parameter_count(model):,} parameters; {counted(config.epochs, 'epoch')} of "
        f"{counted(steps, 'step')}"
        f"{f' on {replicas} replicas' if replicas > 1 else ''}\ndata:    {dataset.source}\nrun:     {run.path}",
        flush=True,
    )
    if warning := describe_compilation(config):
        print(warning, flush=True)
    if dataset.skipped:
        print(f"left out: {data.describe_skipped(dataset)}", flush=True)
