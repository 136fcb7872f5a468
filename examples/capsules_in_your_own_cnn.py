"""Example that trains two small CNNs, one ending in capsule layers and one in a dense layer.

    python examples/capsules_in_your_own_cnn.py

Both networks begin with the same convolution and are trained on scikit-learn's digits. They differ in size: the example
shows how to use the layers, not which network is better.
"""

import argparse

import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import encapnet_tf as en


def stem(inputs):
    """Apply the convolution, batch normalisation and ReLU at the start of a small CNN.

    Both networks that are compared begin with these layers.
    """
    x = keras.layers.Conv2D(32, 3, padding="same", use_bias=False)(inputs)
    x = keras.layers.BatchNormalization()(x)
    return keras.layers.ReLU()(x)


def plain_model():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(64, 3, strides=2, padding="same", activation="relu")(stem(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x), name="plain")
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def capsule_model():
    """Build and compile a small CNN that ends in capsule layers.

    The 32 channels of the stem are read as 16 capsules of 2 components; no reshape is needed.
    """
    inputs = keras.Input((8, 8, 1))
    x = en.layers.CapConvModule(capsule_dim=4, num_capsules=16, depth=1, strides=2)(stem(inputs))
    x = en.layers.CapFC(num_capsules=10, capsule_dim=8)(x)
    model = keras.Model(inputs, en.layers.CapsuleLength()(x), name="with_capsules")
    model.compile(keras.optimizers.Adam(3e-3), en.losses.MarginLoss(), metrics=["accuracy"])
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="one epoch on a few images")
    flags = parser.parse_args()

    digits = load_digits()
    images, test, labels, test_labels = train_test_split(
        digits.images[..., None] / 16, digits.target, test_size=360, random_state=0, stratify=digits.target
    )
    if flags.quick:
        images, labels, test, test_labels = images[:64], labels[:64], test[:64], test_labels[:64]
    keras.utils.set_random_seed(0)
    for model in (plain_model(), capsule_model()):
        whole_batches = len(images) // 32 * 32  # a smaller last batch would be compiled again
        epochs = 1 if flags.quick else flags.epochs
        model.fit(images[:whole_batches], labels[:whole_batches], batch_size=32, epochs=epochs, verbose=0)
        _, accuracy = model.evaluate(test, test_labels, verbose=0)
        print(f"{model.name:14} {model.count_params():>7,} parameters   test accuracy {accuracy:.1%}")


if __name__ == "__main__":
    main()
