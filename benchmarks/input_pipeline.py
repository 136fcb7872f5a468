"""Benchmark that compares the speed of the input pipeline with the training speed of EncapNet-18.

python -m benchmarks.input_pipeline      writes results/input_pipeline.json and results/input_pipeline.md

Pipelines are those of the trainers, on random pixels of the size of CIFAR-10 and on random JPEG files of the size of
h-ImageNet's (read, decoded, resized and augmented anew each time, though from the system's file cache). Both sides run
on the same machine, one after the other.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
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

BATCH, STEPS = 128, 3
GOAL = 5.0  # times the rate of training
CHAINS = (("none",), ("+",), ("++",), ("++", "randaugment", "erasing", "cutmix"))
RESULTS = Path(__file__).parents[1] / "results"


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


def training_rate(size: int) -> float:
    """Measure EncapNet-18's training speed in images per second, on a fixed batch in memory.

    Its routing is master.
    """
    model = en.models.EncapNet18((size, size, 3), routing="master", include_rescaling=True)
    model.compile(keras.optimizers.Adam(1e-4), en.losses.MarginLoss())
    images = np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3)).astype("float32")
    labels = np.arange(BATCH) % 10
    model.train_on_batch(images, labels)
    start = time.perf_counter()
    for _ in range(STEPS):
        model.train_on_batch(images, labels)
    return BATCH * STEPS / (time.perf_counter() - start)


def conditions() -> dict:
    """Return the command, hardware, package versions and system load of this benchmark run.

    They have the form of this benchmark's JSON.
    """
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {
        "command": "python -m benchmarks.input_pipeline",
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "python": platform.python_version(),
        **{name: version(name) for name in ("tensorflow", "keras", "numpy")},
        "load_before": round(os.getloadavg()[0], 2),
    }


def measure(seconds: float) -> dict:
    """Measure the speed of training input pipelines for several image sources and augmentations.

    Args:
        seconds: how long each pipeline runs.

    Returns:
        The content of input_pipeline.json.
    """
    about = conditions()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        jpeg = jpeg_split(Path(folder), 128, ENLARGE["++"])
        sources = [
            ("pixels in memory, 32x32x3", pixel_split(), 32, CHAINS),
            ("JPEG files, 128x128x3", jpeg, 128, CHAINS[2:3]),
        ]
        for name, split, size, chains in sources:
            training = training_rate(size)
            for chain in chains:
                speed = pipeline_rate(split, size, chain, seconds)
                rows.append(
                    {
                        "source": name,
                        "augment": ",".join(chain),
                        "pipeline_images_per_second": round(speed),
                        "training_images_per_second": round(training, 1),
                        "ratio": round(speed / training, 1),
                    }
                )
                print(rows[-1], flush=True)
    return {**about, "batch": BATCH, "wanted_ratio": GOAL, "rows": rows}


def markdown(result: dict) -> str:
    """Format the results of the input-pipeline benchmark as a Markdown page.

    The page is input_pipeline.md, the results the content of input_pipeline.json.
    """
    lines = [
        "# The input pipeline beside training",
        "",
        f"`{result['command']}` on {result['cores']} cores of {result['cpu']}, {result['gpus']} GPUs; TensorFlow "
        f"{result['tensorflow']}, Keras {result['keras']}, Python {result['python']}; load average before it began "
        f"{result['load_before']}. Batches of {result['batch']}; training is EncapNet-18 master, forward, backward and "
        "update, on a batch that is in memory. Wanted: at least "
        f"{result['wanted_ratio']:g} times what training takes.",
        "",
        "| images | augmentation | pipeline, images/s | training, images/s | times |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['source']} | `{row['augment']}` | {row['pipeline_images_per_second']:,} | "
        f"{row['training_images_per_second']:,} | {row['ratio']:,} |"
        for row in result["rows"]
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="How long to run each pipeline.")
    parser.add_argument("--out", type=Path, default=RESULTS, help="Folder to write to.")
    args = parser.parse_args()
    result = measure(args.seconds)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "input_pipeline.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (args.out / "input_pipeline.md").write_text(markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
