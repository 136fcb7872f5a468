"""Command that compares the robustness of networks trained with and without feature regularisers.

The networks are those of `encapnet ablate --table=feedback`. Measured are the test error with the weights of the last
step, the test accuracy under noise, blur and attack, and the error of a linear decoder that is trained afterwards to
reconstruct images from a network's last feature map.

python -m docs.scripts.feedback_features [FOLDER]
"""

import statistics
import sys
from pathlib import Path

import keras
import numpy as np
from encapnet_tf.trainers import data
from encapnet_tf.trainers.ablation.rows import TABLES
from encapnet_tf.trainers.ablation.table import finished_runs, standard_error
from encapnet_tf.trainers.config.run_config import read_run_config
from encapnet_tf.trainers.evaluation.predictions import Predictions, saved_model
from encapnet_tf.trainers.evaluation.robustness import accuracies
from encapnet_tf.trainers.runs.run_directory import RunDirectory
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from docs.scripts import markdown

SIZES = {"noise": 32, "blur": 1, "fgsm": 8}  # disturbance -> its size
TEST_IMAGES = 2_000
DECIMALS = (2, 1, 1, 1, 3)
COLUMNS = ("row", "runs", "error, last step, %", *(f"{name}, accuracy, %" for name in SIZES), "decoder's error")


def main(folder="ablations/feedback"):
    """Print results of networks trained with and without feature regularisers, in a table for each data set.

    The first row has the results without regularisers, and the other rows the mean differences from them, between
    networks trained with the same random seed.
    """
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
    """Measure the trained networks of one row in an ablation table, which differ in the random seed.

    Return the results by the name of the run's folder. Unfinished runs are left out.
    """
    return {seed: measure(run) for seed, run in finished_runs(row, folder).items()}


def measure(run: RunDirectory) -> list[float]:
    """Measure a network's error, its accuracy on perturbed images and the error of a decoder of its features.

    Return the test error of the last step's weights in percent, the accuracies of the best epoch's weights in percent,
    one for each disturbance, and the share that `decoder_error` returns.
    """
    dataset = data.load(read_run_config(run))
    model = saved_model(run.file(RunDirectory.best_model_file))
    test = dataset.test.take(np.arange(min(TEST_IMAGES, len(dataset.test))))
    last = Predictions.of(run.file(RunDirectory.final_model_file), dataset.test, dataset.views, batch_size=500)
    figures = [100 - 100 * last.accuracy]
    for name, size in SIZES.items():
        (accuracy,) = accuracies(model, test, dataset.views, name, batch_size=500, sizes=[size])
        figures.append(100 * accuracy)
    print(run.path, [f"{figure:.1f}" for figure in figures], file=sys.stderr, flush=True)
    return [*figures, decoder_error(model, dataset.train, test)]


def decoder_error(model: keras.Model, train, test) -> float:
    """Return the error of a ridge regression that predicts the pixels of test images from the last feature map.

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
    """Transpose rows of results to columns, or return empty columns if there are no rows.

    There is one column for each figure of `measure`.
    """
    rows = list(rows)
    return list(zip(*rows, strict=True)) if rows else [()] * len(DECIMALS)


def _differences(measured, baseline) -> list[list[float]]:
    """Subtract the baseline network's results from another network's, separately for each random seed.

    Seeds that only one of the networks was trained with are left out.
    """
    seeds = [seed for seed in measured if seed in baseline]
    return [[a - b for a, b in zip(measured[seed], baseline[seed], strict=True)] for seed in seeds]


def _mean(values, decimals) -> str:
    return f"{statistics.mean(values):.{decimals}f}" if values else ""


def _difference(values, decimals) -> str:
    """Format the mean and standard error of several differences as text, such as "+0.3 ± 0.1".

    Return "" for fewer than two differences.
    """
    if len(values) < 2:
        return ""
    return f"{statistics.mean(values):+.{decimals}f} ± {standard_error(values):.{decimals}f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
