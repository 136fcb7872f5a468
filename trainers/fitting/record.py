"""Functions that write the configuration, the final model and the results of a training run to files."""

import os
import platform
import shlex
import sys
from datetime import datetime

import keras
import tensorflow as tf

from ..config.naming import data_name, series_name
from ..config.recipes import IMAGES_RECIPE, RECIPES
from ..config.schema import Config
from ..data import Dataset
from ..evaluation.chance import guessing_limit
from ..evaluation.predictions import PREDICT_BATCH, Predictions
from ..evaluation.reconstructions import Reconstructions
from ..report.run_report import write_report
from ..runs.atomic_files import remove_temporary_files
from ..runs.counting import counted
from ..runs.run_directory import RunDirectory, package_versions
from .callbacks import BestModel
from .network import learning_rate

_PACKAGES = ("encapnet_tf", "keras", "tensorflow", "numpy", "scikit-learn")


def record_start(run: RunDirectory, config: Config, origin: dict) -> None:
    """Write the configuration, command line and package versions of a new training run to the file config.json.

    The devices and the current folder are written, too.

    Args:
        run: the run's folder.
        config: its configuration.
        origin: JSON values about the run or the weights that it starts from; {} for random weights.
    """
    run.write_json(RunDirectory.config_file, {"config": config.to_json(), **origin, **_environment()})


def record_resume(run: RunDirectory) -> None:
    """Record the time and command line of a resumed training run in the run's config.json file.

    Temporary files of the interrupted process are removed.
    """
    for folder in (run.path, run.file(RunDirectory.checkpoints_folder)):
        if folder.is_dir():
            remove_temporary_files(folder)
    record, environment = run.read_json(RunDirectory.config_file), _environment()
    if record.get("versions") != environment["versions"]:
        print(
            f"The run began with other versions: {record.get('versions')}; now {environment['versions']}.", flush=True
        )
    resumes = [*record.get("resumed", []), f"{environment['started']}: {environment['command']}"]
    run.write_json(RunDirectory.config_file, {**record, "resumed": resumes})


def record_results(
    run: RunDirectory, model: keras.Model, config: Config, dataset: Dataset, *, best: BestModel, seconds: float
) -> dict:
    """Write the final model, test predictions, HTML report and summary of a finished training run.

    Args:
        run: the run's folder.
        model: the network after its last epoch.
        config: the run's configuration.
        dataset: the data set it was trained on.
        best: the callback that saved the best model.
        seconds: training time.

    Returns:
        The summary.
    """
    with run.replacing(RunDirectory.final_model_file) as path:
        model.save(path)
    rows = run.read_json_lines(RunDirectory.metrics_file)
    epochs = rows[-1]["epoch"]  # fewer than configured, if training stopped early
    predictions = Predictions.of(run.file(RunDirectory.best_model_file), dataset.test, dataset.views, PREDICT_BATCH)
    with run.replacing(RunDirectory.predictions_file) as path:
        predictions.save(path)
    if config.reconstruction != "none":
        best_model = run.file(RunDirectory.best_model_file)
        if reconstructions := Reconstructions.of(best_model, dataset.test, dataset.views, predictions):
            with run.replacing(RunDirectory.reconstructions_file) as path:
                reconstructions.save(path)
    summary = {
        "recipe": config.recipe,
        "series": series_name(config),
        "seed": config.seed,
        "test_accuracy": predictions.accuracy,
        "test_errors": predictions.errors,
        "training_accuracy": _training_accuracy(rows, best.epoch),
        "validation_accuracy": best.accuracy,
        "validation_guessing_limit": guessing_limit(dataset.validation.labels),
        "test_guessing_limit": guessing_limit(dataset.test.labels),
        "best_epoch": best.epoch,
        "epochs": epochs,
        "stopped_early": epochs < config.epochs,
        "train_seconds": round(seconds, 2),
        "images_per_second": round(epochs * len(dataset.train) / seconds, 1),
        "parameters": parameter_count(model),
        "train_images": len(dataset.train),
        "validation_images": len(dataset.validation),
        "test_images": len(dataset.test),
        "data_name": dataset.name,
        "data_source": dataset.source,
        "stored_shape": list(dataset.train.shape),  # before the images are resized for the network
        "single_size": dataset.single_size and list(dataset.single_size),  # of the images that examples are made of
        "skipped_files": {reason: len(names) for reason, names in dataset.skipped.items()},
        "labels_per_image": dataset.labels_per_image,
        "class_names": list(dataset.class_names),
    }
    write_report(run, summary)
    run.write_json(RunDirectory.summary_file, summary)  # last: its presence means that the run is complete
    return summary


def describe_recipe(config: Config) -> str:
    """Return a display name for a training configuration, composed of the preset name and any non-default data set.

    Examples are "digits", and "digits on mnist" if the data set is not that of the preset. For the recipe `images`
    it is the name of the data.
    """
    if config.recipe == IMAGES_RECIPE:
        return data_name(config)
    other = RECIPES[config.recipe].config.dataset != config.dataset
    return f"{config.recipe} on {data_name(config)}" if other else config.recipe


def describe_compilation(config: Config) -> str | None:
    """Return a warning if the first training step will take minutes to compile, otherwise None.

    XLA compiles each loop by itself, and on a CPU all operations of a whole training step become loops: `docs/speed.md`
    has the seconds and gigabytes of a small network.
    """
    if config.jit_compile != "true" or keras.distribution.list_devices("gpu"):
        return None
    return (
        "compile: --jit_compile=true compiles the whole training step with XLA, which on a CPU takes minutes and "
        "gigabytes of memory before the first step. Steps are usually slower than with the default, auto."
    )


def describe_schedule(config: Config, earlier: Config, steps: int, first_step: int) -> str:
    """Describe in words the learning-rate schedule of a run that continues an earlier run.

    Args:
        config: configuration of the new run.
        earlier: configuration of the earlier run.
        steps: steps an epoch.
        first_step: the first step of the new run, counted from the earlier run's first.
    """
    rates = [
        _learning_rate_at(configuration, steps, step)
        for configuration, step in (
            (earlier, first_step - 1),
            (config, first_step),
            (config, config.epochs * steps - 1),
        )
    ]
    before, first, last = (f"{rate:.2g}" for rate in rates)
    return (
        f"schedule: {config.schedule}, as in a run of {counted(config.epochs, 'epoch')}: the learning rate was "
        f"{before}, is {first} in the next step and {last} in the last"
    )


def _learning_rate_at(config, steps, step) -> float:
    rate = learning_rate(config, steps)
    return float(rate(max(0, step))) if callable(rate) else rate


def _training_accuracy(rows: list[dict], epoch: int | None) -> float | None:
    """Return the training accuracy of a given epoch from the log of a training run.

    It was measured on augmented images. None if the epoch was not logged.
    """
    return next((row["accuracy"] for row in rows if row["epoch"] == epoch), None)


def parameter_count(model: keras.Model) -> int:
    """Return the number of trainable parameters of a model."""
    return sum(variable.shape.num_elements() for variable in model.trainable_variables)


def _environment() -> dict:
    """Return this process's command line, current time, package versions, devices and machine type as a dictionary."""
    return {
        "command": shlex.join(sys.argv),
        "working_directory": os.getcwd(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **package_versions(*_PACKAGES)},
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "machine": f"{platform.machine()}, {platform.system()}",
    }
