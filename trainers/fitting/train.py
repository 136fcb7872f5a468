"""Training of one model from a configuration, with checkpoints and results in a folder."""

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import keras

from encapnet_tf.callbacks import CollapseWatch

from .. import data
from ..config.initial_weights import find_weights
from ..config.naming import series_name
from ..config.schema import Config
from ..data.pipeline.batches import evaluation_batches
from ..runs.counting import counted
from ..runs.run_directory import RunDirectory
from . import network
from .callbacks import AgreementLog, BestModel, MetricsLog, TensorBoardExtras, existing_rows
from .checkpoint_writer import CheckpointWriter
from .checkpoints.checkpoint import Checkpoints
from .checkpoints.continuation import Continuation
from .checkpoints.resume import Start, find_start, skip_steps
from .compiling_line import CompilingLine
from .early_stopping import EarlyStopping, coarse_accuracy_warning
from .initial_weights import Transfer, load_initial_weights
from .interruption import StopSignal, interruption_as_user_error
from .non_finite import Diagnosis, NonFiniteWatch
from .progress import ProgressBar
from .record import (
    describe_compilation,
    describe_recipe,
    describe_schedule,
    parameter_count,
    record_results,
    record_resume,
    record_start,
)
from .strategy import any_worker, chief_first, is_multi_worker, validation_batches, worker_failure_as_user_error
from .training_setup import TrainingSetup

_LOGGED_IMAGES = 128  # validation images on which extractors and the agreement of capsules are measured


def train(
    config: Config,
    run_dir=None,
    resume: RunDirectory | None = None,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    *,
    continue_from: RunDirectory | None = None,
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
        continue_from: a run whose last checkpoint the new run begins with; `config` must be one that
            `checkpoints.continuation.configuration` returns for it.

    Returns:
        The run's folder and its summary; None in a worker process that is not the chief.

    Raises:
        UserError: devices, data, settings or folder cannot be used, another process writes the run, the loss became
            NaN, or the run was interrupted.
    """
    callbacks = tuple(callbacks)
    setup = TrainingSetup.of(config)
    origin = None if resume else find_origin(setup, continue_from)
    if not setup.chief:  # a worker that takes part in the steps and writes nothing
        run = resume or RunDirectory("RUN")  # a placeholder in messages: only the chief knows the folder of a new run
        _fit(setup, run, origin, resumed=bool(resume), callbacks=callbacks)
        return None
    run = resume or RunDirectory.create(series_name(config), run_dir)
    with run.locked(), interruption_as_user_error(run):
        if resume is None:
            if isinstance(origin, Continuation):
                origin.copy_to(run)  # before config.json, without which the folder is no run yet
            record_start(run, config, origin.record() if origin else {})
        else:
            record_resume(run)
        print("\n".join(describe_run(setup, origin, run)), flush=True)
        best, seconds = _fit(setup, run, origin, resumed=bool(resume), callbacks=callbacks)
        print(f"testing on {counted(len(setup.dataset.test), 'image')}, writing the report ...", flush=True)
        summary = record_results(run, setup.model, config, setup.dataset, best=best, seconds=seconds)
    return run, summary


def find_origin(setup: TrainingSetup, continue_from: RunDirectory | None) -> Continuation | Transfer | None:
    """Find the checkpoint from which a new training run continues, or load the run's initial weights.

    Args:
        setup: network, data and devices of the new run.
        continue_from: the run that it continues; None for none.

    Returns:
        The checkpoint, or the record of the loaded weights; None for a run that starts from random weights.

    Raises:
        UserError: there is no such checkpoint or file, or it does not fit the network.
    """
    if continue_from is not None:
        report = print if setup.chief else lambda line: None
        return Continuation.find(continue_from, setup.config, setup.steps, report).adapted_to(setup.model.optimizer)
    return _load_initial_weights(setup, Path()) if setup.config.init_weights is not None else None


def _load_initial_weights(setup: TrainingSetup, folder: Path) -> Transfer:
    """Set the weights of a new network to those of the trained network that `--init_weights` names.

    A relative path is relative to the given folder.
    """
    config, dataset = setup.config, setup.dataset
    return load_initial_weights(
        setup.model,
        find_weights(config.init_weights or "", folder),
        dataset.class_names,
        lambda classes: network.build(config, dataset.image_shape, classes),
    )


def _fit(
    setup: TrainingSetup,
    run: RunDirectory,
    origin: Continuation | Transfer | None,
    *,
    resumed: bool,
    callbacks: tuple[keras.callbacks.Callback, ...],
) -> tuple[BestModel, float]:
    """Train a network from the beginning or from a checkpoint up to the configured number of epochs.

    Args:
        setup: network, data and devices of the run.
        run: the run's folder, locked by this process if it is the chief.
        origin: the checkpoint of another run at which this one begins, or the weights that were loaded.
        resumed: whether to begin at the run's own newest checkpoint.
        callbacks: the caller's callbacks.

    Returns:
        The callback that saved the best model, and the training time in seconds, including the time before a resume.

    Raises:
        UserError: a checkpoint does not fit or cannot be written, the loss became NaN, SIGTERM arrived, or another
            worker was lost.
    """
    config, model, steps, chief = setup.config, setup.model, setup.steps, setup.chief
    strategy = setup.strategy

    # 1. Where training begins.
    checkpoints = Checkpoints(run.file(RunDirectory.checkpoints_folder), config.keep_checkpoints)
    start = origin.start if isinstance(origin, Continuation) else Start()
    if resumed:
        with chief_first(strategy, chief):  # the chief renames damaged checkpoints, and the others must not see them
            start = find_start(run, checkpoints, config, steps, chief=chief)
        if start.checkpoint is None and config.init_weights is not None:
            began_in = run.read_json(RunDirectory.config_file).get("working_directory", ".")
            _load_initial_weights(setup, Path(began_in))

    # 2. The model, with the state of the checkpoint.
    start.restore(model)
    best = BestModel(run, start.checkpoint.state["best"] if start.checkpoint else None)
    stopping = _early_stopping(setup, run) if config.early_stopping else None
    # Training may have been complete when the run was interrupted.
    if start.epoch == config.epochs or (stopping and any_worker(strategy, stopping.is_over)):
        return best, start.seconds
    skip_steps(model, start.step, start.logs)  # so that `fit` counts the epoch's earlier steps, which are not repeated

    # 3. The data.
    print_line = (lambda line: print(line, flush=True)) if chief else None
    validation = validation_batches(setup.dataset, strategy.num_replicas_in_sync, setup.one_hot_classes, print_line)

    # 4. The epochs.
    watch = NonFiniteWatch(None if is_multi_worker(strategy) else Diagnosis(checkpoints, setup.batches_from, steps))
    # Images are decoded during training, so a corrupt one may appear only now.
    corrupt_images_as_errors = data.corrupt_image_as_user_error(setup.dataset.train, setup.dataset.validation)
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
        loggers = [stopping, *(_logging_callbacks(run, setup, best) if chief else [])]
        bar = ProgressBar(config.batch_size, steps, config.epochs, start) if chief and sys.stdout.isatty() else None
        with CompilingLine(steps, start) if chief else nullcontext() as line, bar or nullcontext():
            model.fit(
                setup.batches_from(start.epoch * steps + start.step),  # from the first step that has not been made
                validation_data=validation,
                initial_epoch=start.epoch,
                epochs=config.epochs,
                steps_per_epoch=steps,
                shuffle=False,  # the pipeline shuffles
                verbose=0,
                callbacks=[
                    *filter(None, (line, bar)),
                    watch,
                    *setup.schedules,
                    *filter(None, loggers),
                    *callbacks,
                    writer,
                ],
            )
    return best, writer.seconds


def _early_stopping(setup: TrainingSetup, run: RunDirectory) -> EarlyStopping:
    """Create the early-stopping callback, and restore its accuracy history if the run is resumed."""
    patience = setup.config.early_stopping
    if not setup.chief:
        return EarlyStopping(patience, decides=False)
    rows = existing_rows(run, RunDirectory.metrics_file)
    earlier_epochs = run.read_json(RunDirectory.config_file).get("continued_from", {}).get("epoch", 0)
    return EarlyStopping(patience, [row["val_accuracy"] for row in rows], earlier_epochs)


def _logging_callbacks(run, setup: TrainingSetup, best: BestModel) -> list[keras.callbacks.Callback]:
    """Return the Keras callbacks that save the best model, metrics and TensorBoard files."""
    config, dataset = setup.config, setup.dataset
    logged = dataset.validation.take(range(min(_LOGGED_IMAGES, len(dataset.validation))))
    ((images, labels),) = evaluation_batches(logged, _LOGGED_IMAGES, dataset.views.test).as_numpy_iterator()
    ((samples, _),) = setup.batches_from(0).take(1)
    folder = run.file("tensorboard")
    return [
        *([CollapseWatch(images)] if config.feedback != "none" else []),
        best,
        AgreementLog(run, _agreement_epochs(config), images, labels, at_stop=config.routing_epochs is None),
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


def describe_run(
    setup: TrainingSetup, origin: Continuation | Transfer | None, run: RunDirectory | None = None
) -> list[str]:
    """Return a list of text lines that summarise a training run before its first step.

    The lines cover the data, the network, the number of epochs, and the checkpoint or weights at the start.

    Args:
        setup: network, data and devices.
        origin: the checkpoint or the weights that the run starts from.
        run: the run's folder; None if it has none.
    """
    config, dataset, replicas = setup.config, setup.dataset, setup.strategy.num_replicas_in_sync
    lines = [
        f"{describe_recipe(config)}: {len(dataset.train):,} training, {len(dataset.validation):,} validation and "
        f"{counted(len(dataset.test), 'test image')} of {'x'.join(map(str, dataset.image_shape))}; {config.model} with "
        f"{parameter_count(setup.model):,} parameters; {counted(config.epochs, 'epoch')} of "
        f"{counted(setup.steps, 'step')}"
        f"{f' on {replicas} replicas' if replicas > 1 else ''}",
        f"data:    {dataset.source}",
        f"run:     {run.path}" if run else None,
        *(origin.lines() if origin else []),
        _describe_schedule(setup, origin) if isinstance(origin, Continuation) else None,
        describe_compilation(config),
        coarse_accuracy_warning(config.early_stopping, len(dataset.validation)),
        f"left out: {data.describe_skipped(dataset)}" if dataset.skipped else None,
    ]
    return [line for line in lines if line is not None]


def _describe_schedule(setup: TrainingSetup, origin: Continuation) -> str:
    """Describe in words the learning-rate schedule of a run that continues an earlier run."""
    first_step = origin.start.epoch * setup.steps + origin.start.step
    return describe_schedule(setup.config, origin.earlier, setup.steps, first_step)
