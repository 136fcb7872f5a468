"""Robustness and decodable features of the networks of `encapnet ablate --table=feedback`, with and without units.

For each trained network: test accuracy under noise, blur and attack, and the error of a linear decoder that is trained
afterwards to reconstruct images from the network's last feature map.

python -m docs.scripts.feedback_features [FOLDER]
"""

import math
import statistics
import sys
from pathlib import Path

import keras
import numpy as np
from encapnet_tf.trainers import data
from encapnet_tf.trainers.ablation.rows import TABLES, run_folder
from encapnet_tf.trainers.config.run_config import read_run_config
from encapnet_tf.trainers.evaluation.predictions import saved_model
from encapnet_tf.trainers.evaluation.robustness import DISTURBANCES, accuracies
from encapnet_tf.trainers.runs.run_directory import RunDirectory
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from docs.scripts import markdown

SIZES = {"noise": 32, "blur": 1, "fgsm": 8}  # disturbance -> its size
TEST_IMAGES = 2_000
DECIMALS = (1, 1, 1, 3)
COLUMNS = ("row", "runs", *SIZES, "decoder's error")


def main(folder="ablations/feedback"):
    """Print a table for each data set: figures without units, and differences from them seed by seed."""
    rows = {row.name: row for row in TABLES["feedback"]}
    measured = {name: measure_runs(row, Path(folder)) for name, row in rows.items()}
    for baseline in (name for name, row in rows.items() if row.baseline is None):
        compared = [name for name, row in rows.items() if row.baseline == baseline]
        lines = [(baseline, len(measured[baseline]), *map(_mean, _columns(measured[baseline].values()), DECIMALS))]
        for name in compared:
            differences = _differences(measured[name], measured[baseline])
            lines.append((name, len(differences), *map(_difference, _columns(differences), DECIMALS)))
        print(markdown.table(COLUMNS, lines), end="\n\n", flush=True)


def measure_runs(row, folder: Path) -> dict[str, list[float]]:
    """Return the figures of each finished run of a row, by the folder of its seed."""
    pattern = run_folder(folder, row, "[0-9]*")
    runs = [path for path in sorted(pattern.parent.glob(pattern.name)) if (path / RunDirectory.summary_file).exists()]
    return {path.name: measure(RunDirectory(path)) for path in runs}


def measure(run: RunDirectory) -> list[float]:
    """Return accuracies in percent under each disturbance, and the decoder's error as a share of the variance."""
    dataset = data.load(read_run_config(run))
    model = saved_model(run.file(RunDirectory.best_model_file))
    test = dataset.test.take(np.arange(min(TEST_IMAGES, len(dataset.test))))
    figures = []
    for name, size in SIZES.items():
        curve = accuracies(model, test, dataset.views, name, batch_size=500)
        figures.append(100 * curve[DISTURBANCES[name].sizes.index(size)])
    print(run.path, [f"{figure:.1f}" for figure in figures], file=sys.stderr, flush=True)
    return [*figures, decoder_error(model, dataset.train, test)]


def decoder_error(model: keras.Model, train, test) -> float:
    """Return the test error of a ridge regression from the last feature map to the pixels.

    It is trained on the images that the network was trained on. The error is the mean squared error divided by that of
    the training images' mean.
    """
    last_map = [layer.output for layer in model.layers if len(layer.output.shape) == 4][-1]
    probe = keras.Model(model.input, last_map)
    features, pixels = [], []
    for split in (train, test):
        images = split.images.astype("float32")
        features.append(probe.predict(images, batch_size=500, verbose=0).reshape(len(images), -1))
        pixels.append(images.reshape(len(images), -1))
    scaler = StandardScaler().fit(features[0])
    decoder = Ridge(alpha=0.1 * len(pixels[0])).fit(scaler.transform(features[0]), pixels[0])
    residual = pixels[1] - decoder.predict(scaler.transform(features[1]))
    return float(np.mean(residual**2) / np.mean((pixels[1] - pixels[0].mean(axis=0)) ** 2))


def _columns(rows) -> list:
    """Return the columns of a list of rows; without rows, an empty column for each figure."""
    rows = list(rows)
    return list(zip(*rows, strict=True)) if rows else [()] * len(DECIMALS)


def _differences(measured, baseline) -> list[list[float]]:
    """Return differences of all figures, for the seeds that both have."""
    seeds = [seed for seed in measured if seed in baseline]
    return [[a - b for a, b in zip(measured[seed], baseline[seed], strict=True)] for seed in seeds]


def _mean(values, decimals) -> str:
    return f"{statistics.mean(values):.{decimals}f}" if values else ""


def _difference(values, decimals) -> str:
    """Format a mean and its standard error."""
    if len(values) < 2:
        return ""
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):+.{decimals}f} ± {error:.{decimals}f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
