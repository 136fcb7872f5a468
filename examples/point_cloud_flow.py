"""Example that moves a point cloud onto another by gradient descent on the Sinkhorn divergence.

    python examples/point_cloud_flow.py

The points of the first cloud are the weights of an `Embedding` layer, and the loss compares them, as one sample, with a
cloud of another number of points. Each epoch is a step of gradient descent. The picture is point_cloud_flow.png.
"""

import argparse

import keras
import matplotlib
import numpy as np

import encapnet_tf as en

matplotlib.use("Agg")
from matplotlib import pyplot as plt

EPSILON = 0.005  # in units of the squared distance


def disc(count, random):
    """Sample random 2-D points in a disc.

    Return an array of shape (count, 2).
    """
    angle, radius = random.uniform(0, 2 * np.pi, count), 0.25 * np.sqrt(random.uniform(size=count))
    return np.float32([0.5 + radius * np.cos(angle), 0.5 + radius * np.sin(angle)]).T


def heart(count, random):
    """Sample random 2-D points near a heart-shaped curve.

    Return an array of shape (count, 2).
    """
    angle = random.uniform(0, 2 * np.pi, count)
    x = 16 * np.sin(angle) ** 3
    y = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
    return np.float32([0.5 + x / 40, 0.55 + y / 40]).T + random.normal(0, 0.01, (count, 2)).astype("float32")


def flow(cloud, target, steps, *, record=()):
    """Move a point cloud towards a target cloud by gradient descent on the Sinkhorn divergence.

    Args:
        cloud: (n, 2).
        target: (m, 2).
        steps: number of steps.
        record: steps after which the cloud is recorded.

    Returns:
        List of the recorded clouds, (n, 2), and the list of the divergences before each step.
    """
    count = len(cloud)
    points = keras.layers.Embedding(count, 2, embeddings_initializer=lambda shape, dtype: cloud)
    model = keras.Sequential([keras.Input((count,), dtype="int32"), points])
    loss = en.losses.SinkhornLoss(EPSILON, 60, cost="sqeuclidean", value="dual", sample_axis=1)
    # A point's share of the divergence has the factor 1 / count, and squared distances and both directions a 4.
    model.compile(keras.optimizers.SGD(0.2 * count / 4), loss)
    recorded, divergences = [], []
    for step in range(steps):
        if step in record:
            recorded.append(points.get_weights()[0])
        logs = model.fit(np.arange(count)[None], target[None], verbose=0)
        divergences += logs.history["loss"]
    return [*recorded, points.get_weights()[0]], divergences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few points and steps")
    flags = parser.parse_args()

    random = np.random.default_rng(0)
    count, steps = (40, 12) if flags.quick else (400, 60)
    cloud, target = disc(count, random), heart(3 * count // 2, random)
    times = [0, steps // 12, steps // 6, steps // 3]
    clouds, divergences = flow(cloud, target, steps, record=times)
    print(f"divergence: {divergences[0]:.4f} at the start, {divergences[-1]:.6f} at the last of {steps} steps")

    figure, axes = plt.subplots(1, 5, figsize=(12.5, 2.7), layout="constrained")
    for axis, points, step in zip(axes, clouds, [*times, steps], strict=True):
        axis.scatter(*target.T, s=4, color="#c9d2dd")
        axis.scatter(*points.T, s=4, color="#b0413e")
        axis.set(title=f"step {step}", xticks=[], yticks=[], xlim=(0.05, 0.95), ylim=(0.05, 0.95), aspect="equal")
    figure.savefig("point_cloud_flow.png", dpi=120)
    plt.close(figure)
    print("point_cloud_flow.png")


if __name__ == "__main__":
    main()
