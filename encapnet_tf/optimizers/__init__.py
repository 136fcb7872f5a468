"""Optimizers that Keras lacks."""

from encapnet_tf.optimizers.adam_l2 import AdamL2

__all__ = ["AdamL2"]
