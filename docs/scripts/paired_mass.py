"""Command that plots how much mass an optimal transport plan puts on matching pairs of feature vectors.

The page docs/feedback.md shows the plot and a table of the same values.

python -m docs.scripts.paired_mass [FILE]
"""

import sys
from pathlib import Path

import keras
import matplotlib
import numpy as np
from sklearn.datasets import load_digits

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from docs.scripts import markdown
from encapnet_tf.ops import pairwise_cost, sinkhorn_plan

FIGURE = Path(__file__).parents[1] / "figures" / "paired_mass.png"
IMAGES, NOISE, DRAWS = 128, 0.3, 5
FEATURES = (4, 16, 64)
EPSILONS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


def main(path=FIGURE):
    """Plot the transport mass on matching feature pairs, and print the values as a Markdown table."""
    masses = {relu: {count: mass_on_true_pairs(count, relu) for count in FEATURES} for relu in (True, False)}
    draw(masses, path)
    print(table(masses))
    print(path)


def mass_on_true_pairs(count: int, has_relu: bool) -> list[float]:
    """Return the share of transport mass that joins features of the same image, for each regularisation strength.

    Lower-layer features are a random linear map of standardised images of digits to `count` numbers, with a ReLU or
    without. Generated features are those of the same images with noise of 0.3 standard deviations. The cost is the
    cosine distance. The share is the mean over random maps.
    """
    pixels = load_digits().data[:IMAGES].astype("float32")
    images = (pixels - pixels.mean()) / pixels.std()
    shares = []
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        kernel = rng.normal(size=(64, count)).astype("float32") / 8
        noisy = images + NOISE * rng.normal(size=images.shape).astype("float32")
        lower, generated = (np.maximum(x @ kernel, 0) if has_relu else x @ kernel for x in (images, noisy))
        cost = pairwise_cost(generated, lower)
        plans = [sinkhorn_plan(cost, epsilon, iterations=200) for epsilon in EPSILONS]
        shares.append([float(keras.ops.trace(plan)) for plan in plans])
    return np.mean(shares, axis=0).tolist()


def table(masses) -> str:
    """Format the share of each transport plan's mass between features of the same image as a Markdown table."""
    rows = [
        (f"{count} features, {'ReLU' if relu else 'no ReLU'}", *(f"{share:.2f}" for share in shares))
        for relu, by_count in masses.items()
        for count, shares in by_count.items()
    ]
    return markdown.table(("epsilon", *(f"{epsilon:g}" for epsilon in EPSILONS)), rows)


def draw(masses, path):
    """Plot the share of transport mass on matching pairs against the regularisation strength."""
    figure, plots = plt.subplots(1, 2, figsize=(8.3, 3.4), sharey=True, layout="constrained")
    for axes, (relu, by_count) in zip(plots, masses.items(), strict=True):
        for (count, shares), colour in zip(by_count.items(), ("#d1622b", "#8a97a6", "#3b6fb6"), strict=True):
            axes.plot(EPSILONS, shares, marker="o", markersize=4, color=colour, label=f"{count} features")
        axes.axhline(1 / IMAGES, color="#2b3340", linestyle=":", label="uniform plan")
        axes.set(
            xscale="log", xlabel="epsilon", ylim=(0, 1.03), title=f"features {'after' if relu else 'without'} ReLU"
        )
        axes.spines[["top", "right"]].set_visible(False)
    plots[0].set_ylabel("plan's mass on true pairs")
    plots[1].legend(frameon=False)
    figure.savefig(path, dpi=160)
    plt.close(figure)


if __name__ == "__main__":
    main(*sys.argv[1:])
