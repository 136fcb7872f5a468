"""Benchmark of the accuracy and duration of `encapnet train` on folders of images.

`encapnet train` chooses all settings itself.

python -m benchmarks.training.own_images [--sets NAME,NAME] [--data_dir FOLDER] [--out FOLDER] [--quick]

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

from benchmarks.harness.arguments import argument_parser
from benchmarks.harness.report import Report
from benchmarks.workloads.drawn_shapes import SHAPES, write_shapes
from benchmarks.workloads.fashion_mnist import add_data_dir, check_data_dir, read_idx

ABOUT = (
    "`encapnet train --dataset=folder --data_dir=FOLDER` with no other setting: the recipe `images` chooses image "
    "size, batch, epochs, learning rate, network and augmentation. A fifth of the images is the test set. Training: "
    "seconds of training, compiling included. Command: seconds of the whole command. CPU: seconds of both cores "
    "together over the whole command, which other work on the machine lengthens less."
)
_CHOSEN = ("image_size", "validation_fraction", "batch_size", "epochs", "learning_rate", "num_capsules", "depths",
           "capsule_dims", "strides", "routing", "augment", "flip")  # fmt: skip


def write_three_shapes(folder, flags):
    write_shapes(folder, list(SHAPES)[:3], 12 if flags.quick else 60, (40, 160), clutter=False)


def write_eight_shapes(folder, flags):
    write_shapes(folder, SHAPES, 12 if flags.quick else 125, (96, 96), clutter=True, seed=1)


def write_fashion_mnist(folder, flags):
    images, labels = read_idx(flags.data_dir, "train", 120 if flags.quick else 5_000)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / str(label) / f"{i:05}.png")


SETS = {  # name -> function that writes it, description
    "three_shapes": (
        write_three_shapes,
        "drawings of 3 shapes, 40 to 160 pixels a side, dark on light, tilted by up to 30 degrees",
    ),
    "eight_shapes": (
        write_eight_shapes,
        "8 shapes of any colours at any angle among lines and noise, 96 pixels",
    ),
    "fashion_mnist": (
        write_fashion_mnist,
        "the first images of Fashion-MNIST's training files, 28 pixels, grey",
    ),
}


def train(folder, name, extra):
    """Run `encapnet train` on one image folder in a new process, and return the benchmark results.

    Returns:
        {"result": row of the first table, "choice": row of the second}.
    """
    command = ["encapnet", "train", "--dataset=folder", f"--data_dir={name}", f"--run_dir=run_{name}", *extra]
    program = "import sys; sys.argv[0] = 'encapnet'; from encapnet_tf.trainers.commands.cli import main; main()"
    start, before = time.monotonic(), os.times()
    done = subprocess.run([sys.executable, "-c", program, *command[1:]], cwd=folder, stdout=subprocess.PIPE, text=True)
    seconds, after = time.monotonic() - start, os.times()
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} failed.")
    print("\n".join(line for line in done.stdout.splitlines() if not line.startswith("epoch ")), flush=True)
    summary, config = (
        json.loads((folder / f"run_{name}" / file).read_text(encoding="utf-8"))
        for file in ("summary.json", "config.json")
    )
    cpu = sum(getattr(after, key) - getattr(before, key) for key in ("children_user", "children_system"))
    result = {
        "set": name,
        "images": sum(summary[f"{part}_images"] for part in ("train", "validation", "test")),
        "test accuracy": f"{summary['test_accuracy']:.2%} ({summary['test_errors']} of {summary['test_images']} wrong)",
        "validation accuracy": f"{summary['validation_accuracy']:.2%}",
        "training, s": round(summary["train_seconds"]),
        "command, s": round(seconds),
        "CPU, s": round(cpu),
        "parameters": summary["parameters"],
    }
    choice = {key: config["config"][key] for key in _CHOSEN}
    choice = {key: ",".join(map(str, value)) if isinstance(value, list) else value for key, value in choice.items()}
    return {"result": result, "choice": {"set": name, **choice}}


def write(flags, trained):
    """Write the benchmark report on training with image folders, including results of earlier benchmark runs."""
    report = Report("own_images", "Training on images of one's own", ABOUT, flags.quick)
    names = [name for name in SETS if name in trained]
    report.table([trained[name]["result"] for name in names])
    report.table([trained[name]["choice"] for name in names], "What was chosen")
    for name in names:
        report.note(f"{name}: {SETS[name][1]}")
    report.extra("trained", trained)
    report.write(flags.out)


QUICK = ["--epochs=1", "--image_size=16", "--num_capsules=2", "--depths=0", "--capsule_dims=2", "--strides=2"]


def main(arguments=None):
    flags = argument_parser(__doc__)
    add_data_dir(flags)
    flags.add_argument("--sets", default=",".join(SETS), help="sets to train on; rows of others stay as they are (all)")
    flags = flags.parse_args(arguments)
    if "fashion_mnist" in flags.sets:
        check_data_dir(flags)
    file = flags.out / "own_images.json"
    trained = json.loads(file.read_text(encoding="utf-8"))["trained"] if file.exists() else {}
    names = flags.sets.split(",")
    for name in names[:1] if flags.quick else names:
        with tempfile.TemporaryDirectory() as folder:
            SETS[name][0](Path(folder) / name, flags)
            trained[name] = train(Path(folder), name, QUICK if flags.quick else [])
        write(flags, trained)


if __name__ == "__main__":
    main()
