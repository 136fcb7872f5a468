"""The SavedModel: three signatures in inference mode, nothing of Keras or of this package in it."""

import tensorflow as tf

from encapnet_tf.ops.acceleration import portable

from .image_header import LIMIT
from .preprocessing import Preprocessing

SIGNATURES = ("serving_default", "serve_uint8", "serve_bytes")
INPUT = "images"


def save_model(model, preprocessing: Preprocessing, assets, path):
    """Writes a SavedModel that TF Serving, plain TensorFlow and OpenVINO load.

    Each signature takes "images" and gives "lengths" (batch, classes) float32, "label" (batch,) int64, the index of the
    longest, and "capsules" (batch, classes, capsule_dim) float32 where the network has them:

        serving_default: (batch, height, width, channels) float32 from 0 to 255, as the network sees them
        serve_uint8: (batch, any height, any width, channels) uint8
        serve_bytes: (batch,) strings, each an image file

    A batch of a wrong shape, an empty one and an image that is refused are InvalidArgumentErrors that say so. (Without
    these checks a wrong rank ends the whole process, in TensorFlow's convolution.)

    Args:
        model: an `inference_model`.
        preprocessing: of raw images.
        assets: paths of files to put beside it, found again in its folder `assets`.
        path: folder to make.
    """
    module = _module(model, assets)
    size = tuple(model.inputs[0].shape[1:])

    @tf.function(autograph=False)
    def score(images):
        # A bare call would be in training mode if the caller's were.
        outputs = {name: tf.cast(value, tf.float32) for name, value in model(images, training=False).items()}
        return outputs | {"label": tf.argmax(outputs["lengths"], axis=-1)}

    def serving_default(images):
        return score(_batch(images, (None, *size)))

    def serve_uint8(images):
        images = _batch(images, (None, None, None, size[2]))
        height, width = tf.unstack(tf.shape(images)[1:3])
        fits = (height >= 1) & (width >= 1) & (height <= LIMIT) & (width <= LIMIT)
        message = f"images of 1x1 to {LIMIT}x{LIMIT} pixels are served; the shape received is"
        with tf.control_dependencies([tf.debugging.Assert(fits, [message, tf.shape(images)], summarize=4)]):
            return score(preprocessing.of_pixels(tf.identity(images)))

    def serve_bytes(images):
        return score(preprocessing.of_files(_batch(images, (None,))))

    specs = ((None, *size), tf.float32), ((None, None, None, size[2]), tf.uint8), ((None,), tf.string)
    functions = (serving_default, serve_uint8, serve_bytes)
    with portable():
        signatures = {
            name: tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(*spec, name=INPUT))
            for name, function, spec in zip(SIGNATURES, functions, specs, strict=True)
        }
    tf.saved_model.save(module, str(path), signatures)


def _module(model, assets):
    """What holds the variables, by the names they have in the model, and the files."""
    module = tf.Module()
    module.weights = {weight.path: weight.value for weight in model.weights}
    module.files = [tf.saved_model.Asset(str(path)) for path in assets]
    return module


def _batch(images, shape):
    """The images, if their shape is right and there are any."""
    # The raw operation: what the signature declares, no server enforces.
    images = tf.raw_ops.EnsureShape(input=images, shape=shape)
    message = f"the batch is empty: expected {INPUT} of shape {list(shape)} with at least one image."
    with tf.control_dependencies([tf.debugging.Assert(tf.shape(images)[0] > 0, [message])]):
        return tf.identity(images)
