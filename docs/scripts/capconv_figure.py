"""Command that draws the README's figure: a capsule convolution diagram and a training-time bar chart.

python -m docs.scripts.capconv_figure [FILE]
"""

import json
import sys
from pathlib import Path

import keras
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from encapnet_tf.layers import CapConv2D

ROOT = Path(__file__).parents[2]
INK, MASTER, AIDE, GREY = "#2b3340", "#3b6fb6", "#d1622b", "#8a97a6"
STEPS = {
    "EncapNet-18 master": ("EncapNet-18, master", MASTER),
    "EncapNet-18 master/aide": ("EncapNet-18, master and aide", AIDE),
    "ResNet18": ("ResNet18, maps of the same shapes", GREY),
    "EncapNet-6 master": ("EncapNet-6, master", MASTER),
    "EncapNet-6 master/aide": ("EncapNet-6, master and aide", AIDE),
    "PlainCNN same_shape": ("plain CNN, maps of the same shapes", GREY),
    "CapNet dynamic (timed once)": ("CapNet, iterative routing", INK),
}


def main(path):
    figure = plt.figure(figsize=(8.3, 6.2), layout="constrained")
    structure, times = (part.subplots() for part in figure.subfigures(2, 1, height_ratios=[3, 3]))
    _structure(structure)
    _times(times)
    figure.savefig(path, dpi=160)
    plt.close(figure)
    print(path)


def _structure(axes):
    """Draw a diagram of a capsule convolution layer, with two parallel convolutions and the kernel shapes."""
    inputs = keras.Input((8, 8, 256))
    layer = CapConv2D(16, kernel_size=3, strides=2)
    output = layer(inputs)

    def box(x, y, text, colour):
        style = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": colour, "linewidth": 1.6}
        axes.text(x, y, text, ha="center", va="center", fontsize=10, color=INK, bbox=style, zorder=3)

    def arrow(start, end, colour=INK, style="-"):
        properties = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.4, "linestyle": style}
        axes.annotate("", end, start, arrowprops=properties, zorder=2)

    height, width, channels = inputs.shape[1:]
    dim = channels // layer.num_capsules
    box(0.08, 0.5, f"u\n{height}x{width}\n{layer.num_capsules} capsules\nof {dim}", INK)
    for y, name, colour, about in (
        (0.83, "master", MASTER, f"{layer.master.groups} groups: capsule j from capsule j"),
        (0.17, "aide", AIDE, "dense: capsule j from all capsules"),
    ):
        kernel = getattr(layer, name).kernel.shape
        box(0.37, y, f"{name}  {kernel[0]}x{kernel[1]}\n{about}\nBN, ReLU, squash", colour)
        arrow((0.14, 0.5), (0.21, 0.76 if y > 0.5 else 0.24), colour)
    box(0.66, 0.62, "$m_1$", MASTER)
    box(0.66, 0.38, "$m_2$", AIDE)
    for y, colour in ((0.83, MASTER), (0.17, AIDE)):  # coefficients="both": each from both branches
        for to in (0.62, 0.38):
            arrow((0.525, y), (0.64, to), colour, ":")
    box(0.79, 0.5, "+", INK)
    arrow((0.525, 0.83), (0.785, 0.56), MASTER)
    arrow((0.525, 0.17), (0.785, 0.44), AIDE)
    for y in (0.62, 0.38):
        arrow((0.685, y), (0.765, 0.52 if y > 0.5 else 0.48), GREY, ":")
    height, width = output.shape[1:3]
    box(0.94, 0.5, f"BN, ReLU,\nsquash\n{height}x{width}\n{layer.num_capsules} capsules\nof {layer.capsule_dim}", INK)
    arrow((0.81, 0.5), (0.875, 0.5))
    axes.set(xlim=(0, 1.02), ylim=(0, 1))
    axes.set_title("A capConv layer: one pass in place of routing", fontsize=12, color=INK)
    axes.axis("off")


def _times(axes):
    """Draw a bar chart of training time per image for several networks, from saved benchmark results."""
    tables = json.loads((ROOT / "results" / "step.json").read_text(encoding="utf-8"))["tables"]
    rows = {row["network"]: row for table in tables for row in table["rows"]}
    names = list(STEPS)[::-1]
    values = [rows[name]["training, ms"] / rows[name]["batch"] for name in names]
    labels, colours = zip(*(STEPS[name] for name in names), strict=True)
    bars = axes.barh(labels, values, color=colours)
    axes.bar_label(bars, [f"{value:.1f} ms" for value in values], padding=3, fontsize=10)
    axes.set(xlim=(0, 1.15 * max(values)))
    axes.set_xlabel("milliseconds for each image of a training step, on 2 CPU cores", fontsize=10)
    axes.set_title("Time of a training step", fontsize=12, color=INK)
    axes.tick_params(labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "figures" / "capconv.png")
