"""Benchmark that compares the speed of the input pipeline with the training speed of EncapNet-18.

python -m benchmarks.training.input_pipeline [--seconds 5] [--quick] [--out FOLDER]

Pipelines are those of the trainers, on random pixels of the size of CIFAR-10 and on random JPEG files of the size of
h-ImageNet's (read, decoded, resized and augmented anew each time, though from the system's file cache). Both sides run
on the same machine, one after the other. Writes input_pipeline.json and input_pipeline.md.
"""

import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from encapnet_tf.trainers.data.augmentation.augment import Augmentation
from encapnet_tf.trainers.data.augmentation.views import ENLARGE, Views
from encapnet_tf.trainers.data.pipeline.batches import training_batches
from encapnet_tf.trainers.data.pipeline.encoded import EncodedSplit
from encapnet_tf.trainers.data.pipeline.split import Split

import encapnet_tf as en
from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.report import Report

BATCH, STEPS = 128, 3
GOAL = 5.0  # times the rate of training
CHAINS = (("none",), ("+",), ("++",), ("++", "randaugment", "erasing", "cutmix"))
ABOUT = (
    f"Images/s of the input pipeline alone, in batches of {BATCH}, and of a training step of EncapNet-18 master "
    "(forward, backward and update) on a batch in memory. Wanted: a pipeline at least "
    f"{GOAL:g} times as fast as training."
)


def pixel_split(n: int = 50_000, size: int = 32, classes: int = 10) -> Split:
    """Return a data set of random images in memory, as large as CIFAR-10's training set."""
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (n, size, size, 3), np.uint8), np.arange(n, dtype=np.int32) % classes)


def jpeg_split(folder: Path, size: int, enlarge: float, n: int = 1024, classes: int = 10) -> EncodedSplit:
    """Write random photo-sized JPEG files and return a data set that reads these files.

    They have 500x375 pixels and are smooth as photographs are.
    """
    rng = np.random.default_rng(0)
    names = []
    for i in range(n):
        coarse = rng.integers(0, 256, (1, 24, 32, 3)).astype("float32")
        picture = tf.cast(tf.image.resize(coarse, (375, 500), "bicubic")[0], tf.uint8)
        names.append(str(folder / f"{i}.jpg"))
        Path(names[-1]).write_bytes(tf.io.encode_jpeg(picture, quality=90).numpy())
    table = tf.constant(names)
    labels = np.arange(n, dtype=np.int32) % classes
    stored = Views((size, size), enlarge).enlarged_size()

    def read(index):
        return tf.io.read_file(table[index])

    return EncodedSplit(read, np.arange(n), labels, stored, 3, names.__getitem__)


def pipeline_rate(split, size: int, names, seconds: float) -> float:
    """Measure the speed of a training input pipeline in images per second.

    The first batch is not counted.
    """
    augmentation = Augmentation(names, Views((size, size), ENLARGE[names[0]]), classes=10)
    batches = iter(training_batches(split, BATCH, 10_000, 0, augmentation))
    next(batches)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(batches)
        count += BATCH
    return count / (time.perf_counter() - start)


def training_rate(size: int, batch: int, **options) -> float:
    """Measure EncapNet-18's training speed in images per second, on a fixed batch in memory.

    Its routing is master.
    """
    model = en.models.EncapNet18((size, size, 3), routing="master", include_rescaling=True, **options)
    model.compile(keras.optimizers.Adam(1e-4), en.losses.MarginLoss())
    images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3)).astype("float32")
    labels = np.arange(batch) % 10
    model.train_on_batch(images, labels)
    start = time.perf_counter()
    for _ in range(STEPS):
        model.train_on_batch(images, labels)
    return batch * STEPS / (time.perf_counter() - start)


def measure(seconds: float, quick: bool) -> list[dict]:
    """Measure the speed of training input pipelines for several image sources and augmentations.

    Args:
        seconds: how long each pipeline runs.
        quick: whether few images and a tiny network are enough.

    Returns:
        The table's rows.
    """
    rows = []
    tiny, batch = ({"depths": (0, 0, 0, 0), "num_capsules": 2}, 2) if quick else ({}, BATCH)
    with tempfile.TemporaryDirectory() as folder:
        jpeg = jpeg_split(Path(folder), 128, ENLARGE["++"], n=BATCH if quick else 1024)
        sources = [
            ("pixels in memory, 32x32x3", pixel_split(500 if quick else 50_000), 32, CHAINS[:1] if quick else CHAINS),
            ("JPEG files, 128x128x3", jpeg, 128, CHAINS[2:3]),
        ]
        for name, split, size, chains in sources:
            training = training_rate(size, batch, **tiny)
            for chain in chains:
                speed = pipeline_rate(split, size, chain, seconds)
                rows.append(
                    {
                        "images": name,
                        "augmentation": f"`{','.join(chain)}`",
                        "pipeline, images/s": round(speed),
                        "training, images/s": round(training, 1),
                        "times": round(speed / training, 1),
                    }
                )
                print(rows[-1], flush=True)
    return rows


def main(arguments=None):
    flags = argument_parser(__doc__)
    flags.add_argument("--seconds", type=float, default=5.0, help="how long to run each pipeline (5)")
    flags = flags.parse_args(arguments)
    report = Report("input_pipeline", "The input pipeline beside training", ABOUT, flags.quick)
    report.note(f"GPUs that TensorFlow saw: {len(tf.config.list_physical_devices('GPU'))}")
    rows = measure(0.1 if flags.quick else flags.seconds, flags.quick)
    report.table(rows)
    report.claim("the slowest pipeline / training", min(row["times"] for row in rows), GOAL, at_least=True)
    report.write(flags.out)


if __name__ == "__main__":
    main()
