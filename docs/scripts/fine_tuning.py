"""Comparison of fine-tuned pretrained networks with networks trained from random weights, on a folder of letters.

python -m docs.scripts.fine_tuning [FOLDER]
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
from encapnet_tf.trainers.ablation.table import standard_error
from PIL import Image, ImageDraw, ImageFont

from docs.scripts import markdown
from encapnet_tf.models.presets.preset import preset_names, read_preset

LETTERS = "AKS"
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono-Oblique", "DejaVuSerif-Bold")
IMAGES = {"train": 10, "validation": 20, "test": 200}  # split -> images of each letter
SEEDS = range(5)
TRAINING = ("--epochs=20", "--batch_size=10", "--learning_rate=0.003", "--augment=affine", "--flip=no")


def main(folder=None):
    """Train all networks, and print a table of their test errors."""
    folder = Path(folder or tempfile.mkdtemp()).absolute()
    rows = []
    for name in preset_names():
        arguments = read_preset(name).arguments
        images = folder / f"letters_{name}"
        if not images.exists():
            draw_letters(images, arguments["input_shape"][0])
        network = [f"--{key}={_flag(arguments[key])}" for key in arguments if key not in ("input_shape", "classes")]
        starts = {"scratch": network, "fine_tuned": [f"--init_weights={name}"]}
        errors = {
            start: [error(folder / "runs" / f"{name}_{start}_{seed}", images, flags, seed) for seed in SEEDS]
            for start, flags in starts.items()
        }
        differences = [a - b for a, b in zip(errors["fine_tuned"], errors["scratch"], strict=True)]
        rows.append((f"`{name}`", *map(_mean_and_deviation, errors.values()), _mean_and_error(differences)))
    print(markdown.table(("preset", "from random weights, error %", "fine-tuned, error %", "difference"), rows))


def draw_letters(folder: Path, size: int) -> None:
    """Write grey images of three letters in several fonts, turned, shifted and noisy, in folders of their classes."""
    rng = np.random.default_rng(0)
    fonts = [
        ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", 40) for name in FONTS
    ]
    for split, count in IMAGES.items():
        for letter in LETTERS:
            (folder / split / letter).mkdir(parents=True)
            for number in range(count):
                image = Image.new("L", (64, 64))
                place = tuple(32 + rng.uniform(-5, 5, size=2))
                ImageDraw.Draw(image).text(place, letter, 255, fonts[rng.integers(len(fonts))], anchor="mm")
                image = image.rotate(rng.uniform(-25, 25), Image.Resampling.BILINEAR)
                pixels = np.asarray(image.resize((size, size), Image.Resampling.BOX), "float32")
                pixels = rng.uniform(0.6, 1) * pixels + rng.normal(scale=25, size=pixels.shape)
                Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(folder / split / letter / f"{number}.png")


def error(run: Path, images: Path, flags, seed: int) -> float:
    """Return a network's test error in percent, and train the network first if no finished run of it exists."""
    if not (run / "summary.json").exists():
        data = ("--dataset=folder", f"--data_dir={images}", "--color_mode=grayscale", f"--run_dir={run}")
        command = [sys.executable, "-m", "encapnet_start", "train", *data, *TRAINING, *flags, f"--seed={seed}"]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return 100 * (1 - json.loads((run / "summary.json").read_text(encoding="utf-8"))["test_accuracy"])


def _flag(value) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _mean_and_deviation(values) -> str:
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


def _mean_and_error(values) -> str:
    return f"{statistics.mean(values):+.2f} ± {standard_error(values):.2f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
