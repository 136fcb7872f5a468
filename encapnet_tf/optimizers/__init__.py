"""Additional Keras optimizer: Adam with an L2 penalty in the gradient."""

from encapnet_tf.optimizers.adam_l2 import AdamL2

__all__ = ["AdamL2"]
