"""Benchmark that compares the accuracy after one epoch with and without momentum warm-up of batch normalisation.

python -m benchmarks.training.batch_statistics [--recipe digits] [--epochs 1] [--seeds 0,1,2] [--out FOLDER]

Both trainings of a seed have the same data and, because only inference reads the moving statistics, the same weights.
They differ in these statistics only, which the benchmark also computes afresh from the final weights. Writes
batch_statistics.json and batch_statistics.md.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.data.augmentation.augment import Augmentation
from encapnet_tf.trainers.data.pipeline.batches import evaluation_batches, training_batches
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.runs.run_directory import RunDirectory

import encapnet_tf as en
from benchmarks.harness.arguments import argument_parser, integers
from benchmarks.harness.report import Report
from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.keras_private import inner_layers

ABOUT = (
    "Accuracy in % after a short training, in inference. `moving`: by the moving statistics of the training, as every "
    "saved model and export has them. `fresh`: the same weights, with the mean statistics of one further pass over the "
    "training batches. `constant`: every step keeps the share `momentum` of the moving statistics, as the paper's "
    "release and Keras do (`BatchNorm(momentum_warmup=False)`). `warm-up`: step t keeps min(momentum, t / (t + 1)), "
    "the default."
)


QUICK = {
    "train_limit": 128, "augment": ("none",), "num_capsules": 2, "depths": (0,), "capsule_dims": (2,), "strides": (2,),
}  # fmt: skip


class MomentumWarmup(keras.callbacks.Callback):
    """Keras callback that switches the momentum warm-up of all `BatchNorm` layers on or off.

    With warm-up, layers start training with a lower, rising momentum.
    """

    def __init__(self, enabled: bool):
        super().__init__()
        self.enabled = enabled

    def on_train_begin(self, logs=None):
        for norm in norms_of(self.model):
            norm.momentum_warmup = self.enabled


def norms_of(model) -> list[BatchNorm]:
    """Return all `BatchNorm` layers of a Keras model, including those of nested layers."""
    return [layer for layer in inner_layers(model) if isinstance(layer, BatchNorm)]


def recompute_statistics(model, batches):
    """Recompute a Keras model's moving batch normalisation statistics as plain averages over the given batches.

    Args:
        model: a Keras model; its other weights do not change.
        batches: iterable of (images, labels).
    """
    for norm in norms_of(model):
        norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
        norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
        norm.step_counter.state.assign(0)
        norm.momentum, norm.momentum_warmup = 1.0, True  # so that step t keeps the share t / (t + 1)
    for images, _ in batches:
        model(images, training=True)


def accuracies(model, dataset) -> dict[str, float]:
    """Return a model's accuracy in percent on training, validation and test images, without augmentation."""
    values = {}
    for name in ("train", "validation", "test"):
        batches = evaluation_batches(getattr(dataset, name), 256, dataset.views.test)
        hits = [model.predict_on_batch(x).argmax(-1) == y for x, y in batches.as_numpy_iterator()]
        values[name] = 100 * float(np.concatenate(hits).mean())
    return values


def measure(config, folder: Path, *, warmup: bool) -> list[dict]:
    """Train a network, and measure its accuracy with moving and with recomputed batch normalisation statistics.

    Args:
        config: the configuration of the training.
        folder: folder to create for the run.
        warmup: whether the momentum of the batch normalisations warms up.

    Returns:
        Two rows of the report's table.
    """
    run, _ = train(config, folder, callbacks=[MomentumWarmup(warmup)])
    dataset, model = data.load(config), en.load_model(run.file(RunDirectory.final_model_file), compile=False)
    row = {"seed": config.seed, "momentum": "warm-up" if warmup else "constant"}
    rows = [{**row, "statistics": "moving", **accuracies(model, dataset)}]
    augmentation = Augmentation(config.augment, dataset.views, len(dataset.class_names))
    recompute_statistics(model, training_batches(dataset.train, config.batch_size, 1, config.seed, augmentation))
    return [*rows, {**row, "statistics": "fresh", **accuracies(model, dataset)}]


def main(arguments=None):
    """Run the benchmark of momentum warm-up in batch normalisation, and return exit status 0."""
    flags = argument_parser(__doc__)
    flags.add_argument("--recipe", default="digits")
    flags.add_argument("--epochs", type=int, default=1)
    flags.add_argument("--seeds", type=integers, default=(0, 1, 2), help="one pair of trainings each (0,1,2)")
    flags = flags.parse_args(arguments)
    settings = QUICK if flags.quick else {}
    title = f"Batch statistics after a short training: {flags.recipe}, --epochs={flags.epochs}"
    report, rows = Report("batch_statistics", title, ABOUT, flags.quick), []
    with tempfile.TemporaryDirectory() as folder:
        for seed in flags.seeds[:1] if flags.quick else flags.seeds:
            config = resolve(flags.recipe, {"epochs": flags.epochs, "seed": seed, **settings})
            for warmup in (False, True):
                rows += measure(config, Path(folder) / f"{seed}-{warmup}", warmup=warmup)
    report.table(rows)
    for warmup in ("constant", "warm-up"):
        moving, fresh = (
            np.array([row["validation"] for row in rows if (row["momentum"], row["statistics"]) == (warmup, kind)])
            for kind in ("moving", "fresh")
        )
        gap = float(np.abs(fresh - moving).max())
        report.note(
            f"{warmup}: validation accuracy by moving and by fresh statistics differs by at most {gap:.1f} points"
        )
    report.write(flags.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
