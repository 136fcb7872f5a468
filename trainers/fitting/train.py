"""Train one model from a configuration: data, network, fitting, test predictions, report, summary."""

import errno
import platform
import shlex
import sys
from contextlib import contextmanager, nullcontext
from datetime import datetime

from ..config.recipes import RECIPES
from ..config.schema import Config
from ..evaluation.predictions import PREDICT_BATCH
from ..runs.atomic_files import remove_temporary_files
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory, package_versions

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)
_PACKAGES = ("encapnet_tf", "keras", "tensorflow", "numpy", "scikit-learn")


def train(config: Config, run_dir=None, resume: RunDirectory | None = None) -> tuple[RunDirectory, dict] | None:
    """Trains one model.

    Args:
        config: the run's configuration.
        run_dir: folder to make; None makes `runs/<recipe>/<time>`.
        resume: a run that was cut off, to go on with instead; `config` is its own.

    Returns:
        The run's folder and its summary; None in a process that is not the chief of several workers.

    Raises:
        UserError: devices, data, settings or folder do not serve, another process writes the run, the loss became NaN,
            or the run was interrupted.
    """
    from ..fitting import strategy as strategies

    strategy = strategies.prepare(config)  # before anything else uses TensorFlow
    chief = not strategies.across_machines(strategy) or strategies.is_chief()
    from .. import data

    dataset = data.load(config)
    dataset.test.raise_if_corrupt()  # they are read at the end only, which is a poor time to learn of it
    steps = len(dataset.train) // config.batch_size
    if not steps:
        raise UserError(
            f"--batch_size={config.batch_size} is more than the {len(dataset.train)} training images: "
            "there is no full batch to make a step with."
        )
    import keras

    from ..fitting import fit as fitting
    from ..fitting import network

    keras.utils.set_random_seed(config.seed)
    with strategy.scope() if strategy else nullcontext():
        model = network.build(config, dataset.image_shape, len(dataset.class_names))
    if not chief:
        fitting.fit(model, config, dataset, steps, resume, resumed=bool(resume), chief=False)
        return None
    run = resume or RunDirectory.create(config.recipe, run_dir)
    with run.locked(), _told(run):
        _describe(run, config, resumed=bool(resume))
        replicas = strategy.num_replicas_in_sync if strategy else 1
        print(
            f"{_what(config)}: {len(dataset.train):,} training, {len(dataset.validation):,} validation and "
            f"{len(dataset.test):,} test images of {'x'.join(map(str, dataset.image_shape))}; {config.model} with "
            f"{_parameters(model):,} parameters; {config.epochs} epochs of {steps} steps"
            f"{f' on {replicas} replicas' if replicas > 1 else ''}\nrun:     {run.path}",
            flush=True,
        )
        if dataset.skipped:
            print(f"left out: {data.describe_skipped(dataset)}", flush=True)
        best, seconds = fitting.fit(model, config, dataset, steps, run, resumed=bool(resume))
        summary = _finish(model, config, dataset, best, seconds, run)
    return run, summary


@contextmanager
def _told(run):
    """Tells an interruption, and a file that cannot be written, with the command that goes on."""
    again = f"encapnet train --resume={run.path}"
    try:
        yield
    except KeyboardInterrupt:
        text = f"Interrupted. What was saved so far is in {run.path}; go on with: {again}"
        raise UserError(text, status=130) from None
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        text = f"A file of the run cannot be written: {error}. Make room, then go on from the last checkpoint: {again}"
        raise UserError(text, status=1) from error


def _describe(run, config, resumed):
    """Writes config.json; of a run that goes on, adds when and how to it, and clears what a killed process left."""
    if not resumed:
        run.write_json(RunDirectory.config_file, {"config": config.to_json(), **_circumstances()})
        return
    for folder in (run.path, run.file(RunDirectory.checkpoints_folder)):
        if folder.is_dir():
            remove_temporary_files(folder)
    told = run.read_json(RunDirectory.config_file)
    now = _circumstances()
    if told.get("versions") != now["versions"]:
        print(f"The run began with other versions: {told.get('versions')}; now {now['versions']}.", flush=True)
    resumes = [*told.get("resumed", []), f"{now['started']}: {now['command']}"]
    run.write_json(RunDirectory.config_file, {**told, "resumed": resumes})


def _finish(model, config, dataset, best, seconds, run):
    """Writes what a complete run has: final model, test predictions of the best model as saved, report, summary."""
    from ..evaluation.predictions import Predictions
    from ..report.run_report import write_report

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
        "stored_shape": list(dataset.train.shape),  # of the images before the view that the network sees
        "skipped_files": {why: len(names) for why, names in dataset.skipped.items()},
        "class_names": list(dataset.class_names),
    }
    write_report(run, summary)
    run.write_json(RunDirectory.summary_file, summary)
    return summary


def _what(config) -> str:
    """The recipe, and the data where it is not the recipe's own."""
    other = RECIPES[config.recipe].config.dataset != config.dataset
    return f"{config.recipe} on {config.dataset}" if other else config.recipe


def _parameters(model) -> int:
    return sum(variable.shape.num_elements() for variable in model.trainable_variables)


def _circumstances() -> dict:
    """What else a reader needs to repeat the run."""
    import tensorflow as tf

    return {
        "command": shlex.join(sys.argv),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **package_versions(*_PACKAGES)},
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "machine": f"{platform.machine()}, {platform.system()}",
    }
