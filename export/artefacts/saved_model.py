"""Export of Keras models as SavedModels that can be loaded without Keras or this package.

Each SavedModel has three signatures in inference mode.
"""

from pathlib import Path

import keras
import tensorflow as tf

from encapnet_tf.ops.acceleration import portable

from ...trainers.data.pipeline.image_header import SIDE
from .preprocessing import Preprocessing

SIGNATURES = ("serving_default", "serve_uint8", "serve_bytes")
INPUT = "images"


def save_model(model: keras.Model, preprocessing: Preprocessing, assets: list[Path], path: Path):
    """Write a Keras model as a SavedModel that TF Serving, plain TensorFlow and OpenVINO can load.

    Each signature takes "images" and gives "lengths" (batch, classes) float32, "label" (batch,) int64, the index of the
    longest, and "capsules" (batch, classes, capsule_dim) float32 where the network has them:

        serving_default: (batch, height, width, channels) float32 from 0 to 255, preprocessed
        serve_uint8: (batch, any height, any width, channels) uint8
        serve_bytes: (batch,) strings, each an image file

    A batch of wrong shape, an empty batch and a bad image raise InvalidArgumentError with a message. (Without these
    checks a wrong rank ends the whole process, in TensorFlow's convolution.)

    Args:
        model: an `inference_model`.
        preprocessing: of raw images.
        assets: paths of files to copy into its folder `assets`.
        path: folder to create.
    """
    module = _module(model, assets)
    size = tuple(model.inputs[0].shape[1:])

    @tf.function(autograph=False)
    def score(images):
        # Explicit: a call without `training` takes the mode of the caller.
        outputs = {name: tf.cast(value, tf.float32) for name, value in model(images, training=False).items()}
        return outputs | {"label": tf.argmax(outputs["lengths"], axis=-1)}

    def serving_default(images):
        return score(_require_batch(images, (None, *size)))

    def serve_uint8(images):
        images = _require_batch(images, (None, None, None, size[2]))
        height, width = tf.unstack(tf.shape(images)[1:3])
        is_in_limits = (height >= 1) & (width >= 1) & (height <= SIDE) & (width <= SIDE)
        message = f"images of 1x1 to {SIDE}x{SIDE} pixels are served; the shape received is"
        with tf.control_dependencies([tf.debugging.Assert(is_in_limits, [message, tf.shape(images)], summarize=4)]):
            return score(preprocessing.of_pixels(tf.identity(images)))

    def serve_bytes(images):
        return score(preprocessing.of_files(_require_batch(images, (None,))))

    specs = ((None, *size), tf.float32), ((None, None, None, size[2]), tf.uint8), ((None,), tf.string)
    functions = (serving_default, serve_uint8, serve_bytes)
    with portable():
        signatures = {
            name: tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(*spec, name=INPUT))
            for name, function, spec in zip(SIGNATURES, functions, specs, strict=True)
        }
    tf.saved_model.save(module, str(path), signatures)


def _module(model, assets):
    """Create a `tf.Module` that holds a Keras model's variables and the asset files, for export as a SavedModel."""
    module = tf.Module()
    module.weights = {weight.path: weight.value for weight in model.weights}
    module.files = [tf.saved_model.Asset(str(path)) for path in assets]
    return module


def _require_batch(images, shape):
    """Check at run time that a batch of images has the right shape and is not empty, and return the batch."""
    # A raw operation, because servers do not enforce the shape that the signature declares.
    images = tf.raw_ops.EnsureShape(input=images, shape=shape)
    message = f"the batch is empty: expected {INPUT} of shape {list(shape)} with at least one image."
    with tf.control_dependencies([tf.debugging.Assert(tf.shape(images)[0] > 0, [message])]):
        return tf.identity(images)
