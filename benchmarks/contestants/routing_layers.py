"""Training step of a single capsule layer, compiled for benchmarks."""

import math

import keras
import numpy as np

import encapnet_tf as en
from benchmarks.contestants.arrays import normal
from benchmarks.contestants.keras_calls import compile_function
from benchmarks.harness.contestant import Prepared


def join(outputs):
    """Flatten and concatenate all outputs of a capsule layer, such as poses and activations.

    The result is (batch, features). With this one output, every weight of the layer has a gradient.
    """
    flat = [keras.ops.reshape(y, (y.shape[0], -1)) for y in outputs]
    return keras.ops.concatenate(flat, axis=1)


def training_step(*, layer, options, shape, input_dim, batch):
    """Return a function, to be timed, that computes a capsule layer's outputs and gradients in training mode.

    The gradients are with respect to input and weights, of the outputs times fixed random numbers.

    Args:
        layer: name in `encapnet_tf.layers`.
        options: its arguments.
        shape: of the input without the batch. Self-routing gets activations beside it.
        input_dim: components of an input capsule.
        batch: samples in a batch.
    """
    instance = getattr(en.layers, layer)(**options)
    inputs = [normal(batch, *shape)]
    if layer == "SelfRouting2D":
        inputs.insert(0, np.abs(normal(batch, *shape[:-1], shape[-1] // input_dim)))
    instance.build(inputs[0].shape if len(inputs) == 1 else [x.shape for x in inputs])

    def forward(*tensors):
        outputs = instance(tensors[0] if len(tensors) == 1 else list(tensors), training=True)
        return join(outputs) if isinstance(outputs, list | tuple) else outputs

    parameters = sum(math.prod(weight.shape) for weight in instance.trainable_weights)
    run = compile_function(forward, inputs, gradient=True, variables=instance.trainable_weights)
    return Prepared(run, {"parameters": parameters})
