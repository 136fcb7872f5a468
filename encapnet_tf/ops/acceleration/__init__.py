"""Functions that choose between XLA-compiled code for training and portable code for exported models."""

from encapnet_tf.ops.acceleration.compilation import accelerates, run_compiled, run_shared, runs_eagerly
from encapnet_tf.ops.acceleration.devices import default_device
from encapnet_tf.ops.acceleration.portability import portable, portable_runtime

__all__ = [
    "accelerates",
    "default_device",
    "portable",
    "portable_runtime",
    "run_compiled",
    "run_shared",
    "runs_eagerly",
]
