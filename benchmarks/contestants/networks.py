"""Training and inference steps of whole networks, as `model.fit` and `model.predict` run them by default."""

import functools
import json

import keras
import numpy as np

import encapnet_tf as en
from benchmarks.contestant import Prepared
from benchmarks.contestants.compiled import compiled
from benchmarks.contestants.devices import device
from benchmarks.contestants.network_flops import convolutions, forward_flops
from benchmarks.contestants.random_arrays import normal


def training_step(builder, options, batch, dtype="float32"):
    """A step of Adam on the margin loss, compiled as `model.compile` does by default.

    Args:
        builder: name in `encapnet_tf.models`.
        options: its arguments.
        batch: images in a batch.
        dtype: Keras dtype policy.
    """
    model = network(builder, json.dumps(options), dtype)
    images, labels = (keras.ops.convert_to_tensor(a) for a in batch_of(model, batch))
    model.compile(keras.optimizers.Adam(), en.losses.MarginLoss())
    if keras.backend.backend() == "tensorflow":
        return Prepared(_step_of_fit(model, images, labels), facts(model, 3 * batch))
    return Prepared(lambda: model.train_on_batch(images, labels), facts(model, 3 * batch))


def inference_step(builder, options, batch, dtype="float32"):
    """Scores of a batch, compiled as `model.predict` does by default; arguments as in `training_step`."""
    model = network(builder, json.dumps(options), dtype)
    images, _ = (keras.ops.convert_to_tensor(a) for a in batch_of(model, batch))
    model.predict_on_batch(images)
    if keras.backend.backend() == "tensorflow":
        return Prepared(lambda: model.predict_function([(images,)]), facts(model, batch))
    return Prepared(lambda: model.predict_on_batch(images), facts(model, batch))


def dense_convolutions(builder, options, batch, dtype="float32"):
    """The backend's own dense convolution, forward + gradient, over the shapes of a network's dense convolutions.

    One after another, each compiled for itself, with respect to input and kernel.
    """
    shapes = [c for c in convolutions(network(builder, json.dumps(options), dtype)) if c.groups == 1]
    compute = keras.config.dtype_policy().compute_dtype

    def call(shape):
        arrays = normal(batch, *shape.size, shape.kernel[2]), 0.01 * normal(*shape.kernel)
        inputs = [keras.ops.cast(a, compute) for a in arrays]
        return compiled(lambda x, k: keras.ops.conv(x, k, shape.strides, padding="same"), inputs, gradient=True)

    calls = [call(shape) for shape in shapes]
    total = 3 * batch * sum(shape.flops for shape in shapes)
    return Prepared(lambda: [one() for one in calls], {"flops": total})


@functools.cache
def network(builder, options, dtype):
    """A model, built once a process; options as JSON."""
    if not hasattr(en.models, builder):
        raise LookupError(f"models.{builder} is not in this version")
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(0)
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in json.loads(options).items()}
    return getattr(en.models, builder)(**options)


def batch_of(model, batch):
    """Random images and labels."""
    labels = np.random.default_rng(0).integers(0, model.output_shape[-1], batch).astype("int32")
    return normal(batch, *model.input_shape[1:]), labels


def facts(model, forward_passes):
    """What a table says of a network; a training step's arithmetic is that of three forward passes."""
    return {
        "parameters": sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        "flops": forward_passes * forward_flops(model),
        "backend": keras.backend.backend(),
        "device": device(),
    }


def _step_of_fit(model, images, labels):
    """What `fit` calls in its loop, compiled by it."""
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()
    model.fit(batches, steps_per_epoch=1, verbose=0)
    iterator = iter(batches)
    return lambda: model.train_function(iterator)
