"""Keras optimizers, based on Adam and SGD, that add an L2 penalty to the gradient."""

from encapnet_tf.optimizers.adam_l2 import AdamL2
from encapnet_tf.optimizers.sgd_l2 import SGDL2

__all__ = ["SGDL2", "AdamL2"]


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
