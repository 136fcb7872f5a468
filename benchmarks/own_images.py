"""Command that trains on folders of images with no setting given, as a user with images of their own would.

python -m benchmarks.own_images [--data_dir FOLDER] [--out FOLDER] [--quick]

Three sets: 180 drawings of three shapes in mixed sizes; 5,000 images of Fashion-MNIST as PNG files; 1,000 pictures of
eight shapes of 96 pixels among lines and noise. Each is trained on by `encapnet train --dataset=folder
--data_dir=FOLDER`. Writes own_images.json and own_images.md.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks.contestants.drawn_shapes import SHAPES, write_shapes
from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.report import Report
from benchmarks.train_fashion_mnist import DEBIAN, read_idx

ABOUT = (
    "`encapnet train --dataset=folder --data_dir=FOLDER` with no other setting: the recipe `images` chooses image "
    "size, batch, epochs, learning rate, network and augmentation. A fifth of the images is the test set. Training: "
    "seconds of training, compiling included. Command: seconds of the whole command. CPU: seconds of both cores "
    "together over the whole command, which other work on the machine lengthens less."
)
_CHOSEN = ("image_size", "validation_fraction", "batch_size", "epochs", "learning_rate", "num_capsules", "depths",
           "capsule_dims", "strides", "routing", "augment", "flip")  # fmt: skip


def write_sets(folder, data_dir, quick):
    """Write the three sets into a folder, and return {name: description}."""
    few = 12 if quick else None
    write_shapes(folder / "three_shapes", list(SHAPES)[:3], few or 60, (40, 160), clutter=False)
    write_shapes(folder / "eight_shapes", SHAPES, few or 125, (96, 96), clutter=True, seed=1)
    images, labels = read_idx(data_dir, "train", 120 if quick else 5_000)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / "fashion_mnist" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "fashion_mnist" / str(label) / f"{i:05}.png")
    return {
        "three_shapes": "drawings of 3 shapes, 40 to 160 pixels a side, dark on light",
        "fashion_mnist": "the first images of Fashion-MNIST's training files, 28 pixels, grey",
        "eight_shapes": "8 shapes in any colours among lines and noise, 96 pixels",
    }


def train(folder, name, extra):
    """Train on one of the sets in a process of its own, and return a row of the report and what the command printed."""
    command = ["encapnet", "train", "--dataset=folder", f"--data_dir={name}", f"--run_dir=run_{name}", *extra]
    start, before = time.monotonic(), os.times()
    program = "from encapnet_tf.trainers.commands.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = 'encapnet'; {program}", *command[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    seconds, after = time.monotonic() - start, os.times()
    if result.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{result.stderr}")
    run = folder / f"run_{name}"
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))["config"]
    cpu = sum(getattr(after, k) - getattr(before, k) for k in ("children_user", "children_system"))
    images = sum(summary[f"{part}_images"] for part in ("train", "validation", "test"))
    row = {
        "set": name,
        "images": images,
        "test accuracy": f"{summary['test_accuracy']:.2%} ({summary['test_errors']} of {summary['test_images']} wrong)",
        "validation accuracy": f"{summary['validation_accuracy']:.2%}",
        "training, s": round(summary["train_seconds"]),
        "command, s": round(seconds),
        "CPU, s": round(cpu),
        "parameters": summary["parameters"],
    }
    return row, {"set": name, **{key: config[key] for key in _CHOSEN}}, result.stdout


def main(arguments=None):
    flags = argument_parser(__doc__)
    flags.add_argument("--data_dir", type=Path, default=DEBIAN, help="folder of Fashion-MNIST's IDX files")
    flags = flags.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        sets = write_sets(folder, flags.data_dir, flags.quick)
        results = []
        for name in sets:
            results.append(train(folder, name, ["--epochs=1"] if flags.quick else []))
            print("\n".join(line for line in results[-1][2].splitlines() if "epoch " not in line), flush=True)
    report = Report("own_images", "Training on images of one's own", ABOUT, flags.quick)
    report.table([row for row, _, _ in results])
    report.table(
        [{key: ",".join(map(str, v)) if isinstance(v, list) else v for key, v in row.items()} for _, row, _ in results],
        "What was chosen",
    )
    for name, text in sets.items():
        report.note(f"{name}: {text}")
    report.write(flags.out)


if __name__ == "__main__":
    main()
