"""Estimate of the memory that a training needs at least, made from the network's shapes before it is allocated."""

import math
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from encapnet_tf.weight_counts import count_weights

from ..config.schema import Config
from ..runs.machine_memory import memory_bytes, refuse_beyond_memory

_SLOTS = {"adam": 2, "adamw": 2, "sgd": 1}  # variables of the optimizer for each trainable weight
_BYTES = 4  # weights, slots and images are float32, whatever the precision of the arithmetic
_GPU_BYTES = 300 * 2**30  # more than any GPU has, because TensorFlow does not tell


def refuse_too_large(config: Config, image_shape: Sequence[int], build: Callable[[], keras.Model]) -> None:
    """Raise `UserError` if weights, optimizer slots and one batch of images exceed this machine's memory.

    Activations are not counted, so a network that passes may still need too much.

    Args:
        config: the run's configuration.
        image_shape: (height, width, channels).
        build: function that builds the network. It is called without allocating the weights.
    """
    size = count_weights(build)
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
