"""Example of training a generator of 2-D points with the Sinkhorn loss, without capsules.

    python examples/sinkhorn_loss_without_capsules.py

The generator maps noise to points. The loss compares each batch of points with a batch of the data as two point clouds,
so no pairing of noise and data is needed.
"""

import argparse

import keras
import numpy as np

import encapnet_tf as en

BATCH = 256


def two_moons(count, random):
    """Sample noisy 2-D points from two interleaved half circles.

    They are an array (count, 2).
    """
    angle, side = random.uniform(0, np.pi, count), random.integers(0, 2, count)
    x = np.where(side, np.cos(angle), 1 - np.cos(angle))
    y = np.where(side, np.sin(angle), 0.5 - np.sin(angle))
    return (np.stack([x, y], axis=1) + random.normal(0, 0.05, (count, 2))).astype("float32")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="two epochs on a few batches")
    flags = parser.parse_args()

    random = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    count = (4 if flags.quick else 40) * BATCH
    noise, points = random.normal(size=(count, 2)).astype("float32"), two_moons(count, random)
    layers = [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(64, activation="relu")]
    generator = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dense(2)])
    loss = en.losses.SinkhornLoss(epsilon=0.05, iterations=20, cost="sqeuclidean")
    generator.compile(keras.optimizers.Adam(3e-3), loss)

    new_noise, new_points = random.normal(size=(BATCH, 2)).astype("float32"), two_moons(BATCH, random)
    before = float(loss(new_points, generator(new_noise)))
    generator.fit(noise, points, batch_size=BATCH, epochs=2 if flags.quick else flags.epochs, verbose=0)
    after = float(loss(new_points, generator(new_noise)))
    optimum = float(loss(new_points, two_moons(BATCH, random)))
    print(f"divergence from new data: {before:.4f} before, {after:.4f} after training")
    print(f"divergence between two batches of the data, which a perfect generator would reach: {optimum:.4f}")


if __name__ == "__main__":
    main()
