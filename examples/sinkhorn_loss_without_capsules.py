"""A Sinkhorn loss without capsules: a small generator learns a set of points.

    python examples/sinkhorn_loss_without_capsules.py

Noise goes in, points come out; the loss compares each batch of points with a batch of the data as two clouds, so nobody
has to say which noise should become which point.
"""

import argparse

import keras
import numpy as np

import encapnet_tf as en

BATCH = 256


def two_moons(count, random):
    """(count, 2) points on two half circles."""
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

    fresh_noise, fresh = random.normal(size=(BATCH, 2)).astype("float32"), two_moons(BATCH, random)
    before = float(loss(fresh, generator(fresh_noise)))
    generator.fit(noise, points, batch_size=BATCH, epochs=2 if flags.quick else flags.epochs, verbose=0)
    after = float(loss(fresh, generator(fresh_noise)))
    between = float(loss(fresh, two_moons(BATCH, random)))
    print(f"divergence from fresh data: {before:.4f} before, {after:.4f} after training")
    print(f"of two batches of the data: {between:.4f}, what a perfect generator would reach")


if __name__ == "__main__":
    main()
