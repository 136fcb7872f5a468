"""Example of training an EncapNet on Keras's JAX backend.

    pip install jax
    python examples/capsules_on_jax.py

The backend must be chosen before Keras is imported. If the environment variable KERAS_BACKEND is set, it is kept.
"""

import argparse
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
from sklearn.datasets import load_digits

import encapnet_tf as en


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="one epoch on a few images")
    flags = parser.parse_args()

    digits = load_digits()
    images, labels = digits.images[..., None] / 16, digits.target
    train = slice(0, 128 if flags.quick else 1408)  # full batches only
    test = slice(1408, None)
    keras.utils.set_random_seed(0)
    model = en.models.EncapNet(
        (8, 8, 1),
        classes=10,
        depths=(1, 1),
        capsule_dims=(2, 4),
        strides=(1, 2),
        num_capsules=8,
    )
    model.compile(keras.optimizers.Adam(3e-3), en.losses.MarginLoss(), metrics=["accuracy"])
    epochs = 1 if flags.quick else flags.epochs
    model.fit(images[train], labels[train], batch_size=64, epochs=epochs, verbose=0)
    _, accuracy = model.evaluate(images[test], labels[test], verbose=0)
    print(f"backend {keras.backend.backend()}, test accuracy {accuracy:.1%}")


if __name__ == "__main__":
    main()
