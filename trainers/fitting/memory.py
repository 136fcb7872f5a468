"""Estimate of the memory that a training needs at least, made from the network's shapes before it is allocated."""

import math
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from ..config.schema import Config
from ..runs.machine_memory import memory_bytes, refuse_beyond_memory

_SLOTS = {"adam": 2, "adamw": 2, "sgd": 1}  # variables of the optimizer for each trainable weight
_BYTES = 4  # weights, slots and images are float32, whatever the precision of the arithmetic
_GPU_BYTES = 300 * 2**30  # more than any GPU has, because TensorFlow does not tell


@dataclass(frozen=True)
class Size:
    """Numbers of weights of a network.

    Attributes:
        weights: all, with the moving statistics of batch normalisation.
        trainable: those that have optimizer slots.
    """

    weights: int
    trainable: int


def refuse_too_large(config: Config, image_shape: Sequence[int], build: Callable[[], keras.Model]) -> None:
    """Raise `UserError` if weights, optimizer slots and one batch of images exceed this machine's memory.

    Activations are not counted, so a network that passes may still need too much.

    Args:
        config: the run's configuration.
        image_shape: (height, width, channels).
        build: function that builds the network. It is called without allocating the weights.
    """
    size = measure(build)
    if size is None:
        return
    slots = _SLOTS[config.optimizer] + bool(config.ema) + (config.accumulate_steps > 1)
    gpus = len(tf.config.list_physical_devices("GPU"))
    copies = 1 if gpus else config.replicas or 1  # replicas on CPUs share the main memory
    state = _BYTES * copies * (size.weights + slots * size.trainable)
    batch = _BYTES * config.batch_size * math.prod(image_shape)
    refuse_beyond_memory(
        state + batch,
        f"The network's {size.weights:,} weights with the optimizer's variables and one batch of {config.batch_size} "
        f"images of {'x'.join(map(str, image_shape))} need",
        "Choose a smaller network, --image_size or --batch_size.",
        memory_bytes() + gpus * _GPU_BYTES,
    )


def measure(build: Callable[[], keras.Model]) -> Size | None:
    """Return the numbers of weights of a network without allocating them, or None if it cannot be built.

    The network is built in a thread of its own, because Keras counts the names of layers in each thread. So the names
    and the random numbers of later networks stay what they are without this function.

    Args:
        build: function that builds the network.
    """
    sizes: list[Size] = []

    def build_shapes():
        try:
            with keras.StatelessScope(initialize_variables=False):
                model = build()
        except Exception:  # the real network, which is built next, raises it again
            return
        trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        sizes.append(Size(sum(math.prod(weight.shape) for weight in model.weights), trainable))

    state = random.getstate()  # Keras takes the seeds of initializers from it
    try:
        thread = threading.Thread(target=build_shapes, daemon=True)
        thread.start()
        thread.join()
    finally:
        random.setstate(state)
    return sizes[0] if sizes else None
