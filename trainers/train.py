"""`encapnet train`: from a recipe to a trained, evaluated and reported model."""

import platform
import shlex
import sys
import time
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from . import config_file
from .config import Config, add_flags
from .errors import UserError
from .run_directory import RunDirectory

PREDICT_BATCH = 256
PROBE_IMAGES = 128  # validation images on which extractors and the agreement of capsules are watched
_PACKAGES = ("encapnet_tf", "keras", "tensorflow", "numpy", "scikit-learn")


def add_arguments(parser):
    config_file.add_arguments(parser)
    parser.add_argument("--run_dir", help="Folder to make for the run. Default: runs/RECIPE/TIME.")
    add_flags(parser, skip=("recipe",))


def main(args):
    """The verb: resolves the configuration, trains, prints the result and what to type next."""
    run, summary = train(config_file.configuration(args), args.run_dir)
    print(
        f"\ntest accuracy {summary['test_accuracy']:.2%} ({summary['test_errors']} errors in "
        f"{summary['test_images']} images), validation accuracy {summary['validation_accuracy']:.2%}, "
        f"trained in {summary['train_seconds']:.0f} s\n"
        f"report:  {run.file(RunDirectory.report_file)}\n"
        f"next:    encapnet evaluate {shlex.quote(str(run.path))}"
    )


def train(config: Config, run_dir=None) -> tuple[RunDirectory, dict]:
    """Trains one model.

    Args:
        config: the run's configuration.
        run_dir: folder to make; None makes `runs/<recipe>/<time>`.

    Returns:
        The run's folder and its summary.

    Raises:
        UserError: data, settings or folder do not serve, or the loss became NaN.
    """
    from . import data

    dataset = data.load(config)
    steps = len(dataset.train) // config.batch_size
    if not steps:
        raise UserError(
            f"--batch_size={config.batch_size} is more than the {len(dataset.train)} training images: "
            "there is no full batch to make a step with."
        )
    import keras

    from . import network

    keras.utils.set_random_seed(config.seed)
    model = network.build(config, dataset.image_shape, len(dataset.class_names))
    run = RunDirectory.create(config.recipe, run_dir)
    run.write_json(RunDirectory.config_file, {"config": config.to_json(), **_circumstances()})
    print(
        f"{config.recipe}: {len(dataset.train):,} training, {len(dataset.validation):,} validation and "
        f"{len(dataset.test):,} test images of {'x'.join(map(str, dataset.image_shape))}; {config.model} with "
        f"{_parameters(model):,} parameters; {config.epochs} epochs of {steps} steps\nrun:     {run.path}",
        flush=True,
    )
    if dataset.skipped:
        print(f"left out: {data.describe_skipped(dataset)}", flush=True)
    try:
        best, seconds = _fit(model, config, dataset, steps, run)
        summary = _finish(model, config, dataset, best, seconds, run)
    except KeyboardInterrupt:
        raise UserError(f"Interrupted. What was saved so far is in {run.path}.", status=130) from None
    return run, summary


def _fit(model, config, dataset, steps, run):
    import keras
    import tensorflow as tf

    from encapnet_tf.callbacks import CollapseWatch

    from .callbacks import AgreementLog, BestModel, MetricsLog, NotANumber
    from .data.augment import Augmentation
    from .data.pipeline import evaluation_batches, training_batches
    from .network import compile_model

    best = BestModel(run)
    try:
        probe = dataset.validation.take(range(min(PROBE_IMAGES, len(dataset.validation))))
        (probe,) = evaluation_batches(probe, PROBE_IMAGES, dataset.views.test)
        images, labels = (part.numpy() for part in probe)
        watch = [CollapseWatch(images)] if config.feedback != "none" else []
        augmentation = Augmentation(config.augment, dataset.views, len(dataset.class_names))
        callbacks = [
            NotANumber(),
            *compile_model(model, config, steps, augmentation.mixes),
            *watch,
            best,
            AgreementLog(run, routing_epochs(config), images, labels),
            MetricsLog(run, config.epochs),
            keras.callbacks.TensorBoard(run.file("tensorboard"), write_graph=False),
        ]
        one_hot = len(dataset.class_names) if augmentation.mixes else None
        began = time.perf_counter()
        model.fit(
            training_batches(dataset.train, config.batch_size, config.epochs, config.seed, augmentation),
            validation_data=evaluation_batches(dataset.validation, PREDICT_BATCH, dataset.views.test, one_hot),
            epochs=config.epochs,
            steps_per_epoch=steps,
            shuffle=False,  # The pipeline shuffles.
            verbose=1 if sys.stdout.isatty() else 0,
            callbacks=callbacks,
        )
    except tf.errors.OpError:
        for split in (dataset.train, dataset.validation):  # an image read only now may be at fault
            split.refuse_corrupt()
        raise
    return best, time.perf_counter() - began


def routing_epochs(config: Config) -> tuple[int, ...]:
    """The epochs to record the capsules' agreement at: first, 10 %, 40 % and last, as in Fig. 2, or those given."""
    if config.routing_epochs is not None:
        return config.routing_epochs
    return tuple(sorted({1, *(max(1, round(config.epochs * share)) for share in (0.1, 0.4, 1))}))


def _finish(model, config, dataset, best, seconds, run):
    """Writes what a complete run has: final model, test predictions of the best model as saved, report, summary."""
    from .predictions import Predictions
    from .report import write_report

    with run.replacing(RunDirectory.final_model_file) as path:
        model.save(path)
    predictions = Predictions.of(run.file(RunDirectory.best_model_file), dataset.test, dataset.views, PREDICT_BATCH)
    with run.replacing(RunDirectory.predictions_file) as path:
        predictions.save(path)
    summary = {
        "recipe": config.recipe,
        "seed": config.seed,
        "test_accuracy": predictions.accuracy,
        "test_errors": predictions.errors,
        "validation_accuracy": best.accuracy,
        "best_epoch": best.epoch,
        "epochs": config.epochs,
        "train_seconds": round(seconds, 2),
        "images_per_second": round(config.epochs * len(dataset.train) / seconds, 1),
        "parameters": _parameters(model),
        "train_images": len(dataset.train),
        "validation_images": len(dataset.validation),
        "test_images": len(dataset.test),
        "skipped_files": {why: len(names) for why, names in dataset.skipped.items()},
        "class_names": list(dataset.class_names),
    }
    write_report(run, summary)
    run.write_json(RunDirectory.summary_file, summary)
    return summary


def _parameters(model) -> int:
    return sum(variable.shape.num_elements() for variable in model.trainable_variables)


def _circumstances() -> dict:
    """What else a reader needs to repeat the run."""
    import tensorflow as tf

    def installed(package):
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    return {
        "command": shlex.join(sys.argv),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: installed(name) for name in _PACKAGES}},
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "machine": f"{platform.machine()}, {platform.system()}",
    }
