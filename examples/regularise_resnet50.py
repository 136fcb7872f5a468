"""Example of training ResNet50 with Sinkhorn-divergence regularisers on intermediate features.

The regularisers, `FeedbackAgreement` layers, are attached by layer names.

    python examples/regularise_resnet50.py --weights=imagenet --images=FOLDER

FOLDER has one folder of images for each class. Without `--images` the example uses enlarged digits of scikit-learn,
which show the steps but teach the network little. `--weights=imagenet` downloads Keras's weights; the default is random
weights.
"""

import argparse

import keras
import numpy as np
from sklearn.datasets import load_digits

import encapnet_tf as en

# (higher layer, lower layer): the features of the lower one must be recoverable from the higher one. Their sizes may
# differ by a stride of 2 at most.
PAIRS = [("conv3_block4_out", "conv2_block3_out"), ("conv4_block6_out", "conv3_block4_out")]


def enlarged_digits(size, count):
    """Load scikit-learn's digits, and convert the images to larger RGB images for ResNet50.

    Return the images, (count, size, size, 3) with pixels from 0 to 255, and the labels.
    """
    digits = load_digits()
    images = digits.images[:count, ..., None].repeat(3, axis=-1) * (255 / 16)
    return np.asarray(keras.ops.image.resize(images.astype("float32"), (size, size))), digits.target[:count]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", choices=("imagenet",), help="Start from Keras's weights (a download).")
    parser.add_argument("--images", help="Folder with one folder of images for each class.")
    parser.add_argument("--size", type=int, default=64, help="Height and width of the images in pixels.")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--out", default="resnet50.keras", help="Where to save the network without its units.")
    parser.add_argument("--quick", action="store_true", help="one step on a few tiny images, not compiled")
    flags = parser.parse_args()
    size, count, batch = (32, 4, 4) if flags.quick else (flags.size, 512, 32)

    if flags.images:
        data = keras.utils.image_dataset_from_directory(flags.images, image_size=(size, size), batch_size=batch)
        classes = len(data.class_names)
        fit = {"x": data}
    else:
        images, labels = enlarged_digits(size, count)
        classes = 10
        fit = {"x": images, "y": labels, "batch_size": batch}

    keras.utils.set_random_seed(0)
    base = keras.applications.ResNet50(
        include_top=False, weights=flags.weights, input_shape=(size, size, 3), pooling="avg"
    )
    model = keras.Model(base.input, keras.layers.Dense(classes, activation="softmax")(base.output))
    model = en.attach_feedback(model, PAIRS, weight=0.1)
    model.compile(
        keras.optimizers.Adam(1e-4),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        run_eagerly=flags.quick,
    )
    history = model.fit(**fit, epochs=flags.epochs, verbose=0).history
    for name, values in history.items():  # the divergence of each unit is logged under its name
        print(f"{name:50} {values[-1]:.4f}")

    served = en.strip_feedback(model)
    served.save(flags.out)
    units = model.count_params() - served.count_params()
    print(f"{flags.out}: {served.count_params():,} parameters, without the {units:,} of the units")


if __name__ == "__main__":
    main()
