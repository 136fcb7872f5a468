"""Functions that only work on the JAX backend: the default device, and precise matrix products."""

import jax
from keras import ops as K


def default_device() -> str:
    """Return the kind of device that JAX uses by default, such as "cpu" or "gpu"."""
    return jax.default_backend()


def precise_matmul(a, b):
    """Multiply two matrices without rounding their factors to TF32 on a GPU, in the gradient too."""
    with jax.default_matmul_precision("highest"):
        return K.matmul(a, b)
