"""Example of exporting a trained model and calling the SavedModel with plain TensorFlow.

    python examples/export_and_serve.py

Needs the extra `export`. `encapnet export RUN` exports a run of `encapnet train`.
"""

import argparse

import numpy as np
import tensorflow as tf
from encapnet_tf.export import export_model
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import encapnet_tf as en


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="one epoch, one TFLite file")
    flags = parser.parse_args()

    digits = load_digits()
    images, labels = (16 * digits.images[..., None]).clip(0, 255).astype("uint8"), digits.target
    images, test_images, labels, test_labels = train_test_split(images, labels, test_size=0.2, random_state=0)

    model = en.models.EncapNet(
        (8, 8, 1), 10, depths=(1,), capsule_dims=(4,), strides=(2,), num_capsules=8, feedback="half",
        feedback_options={"weight": 0.1}, include_rescaling=True,
    )  # fmt: skip
    model.compile("adam", en.losses.MarginLoss())
    model.fit(images, labels, batch_size=64, epochs=1 if flags.quick else flags.epochs, verbose=0)

    folder = export_model(
        model, test_images, test_labels, name="digits", calibration_images=images[:200],
        tflite=("float32",) if flags.quick else ("float32", "float16", "dynamic", "int8"),
    )  # fmt: skip
    print((folder / "model_card.md").read_text(encoding="utf-8").split("## Artefacts")[1].strip())

    version = max(
        (folder / "saved_model").iterdir(), key=lambda path: int(path.name)
    )  # the newest: each export adds a version
    served = tf.saved_model.load(str(version))  # does not need encapnet_tf
    outputs = served.signatures["serve_uint8"](images=tf.constant(test_images[:5]))
    lengths = outputs["lengths"].numpy()
    print(f"predicted: {lengths.argmax(axis=1)}, true: {test_labels[:5]}")
    print(f"largest difference from Keras: {np.abs(lengths - model.predict(test_images[:5], verbose=0)).max():.1e}")


if __name__ == "__main__":
    main()
