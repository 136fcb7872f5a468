"""Pure functions on tensors, written in `keras.ops`: they run on every Keras backend."""

from encapnet_tf.ops.capsules import merge_capsules, split_capsules
from encapnet_tf.ops.grouped_conv2d import grouped_conv2d
from encapnet_tf.ops.squash import capsule_length, squash

__all__ = ["capsule_length", "grouped_conv2d", "merge_capsules", "split_capsules", "squash"]
