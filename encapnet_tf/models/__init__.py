"""Model builders: functional Keras models."""

from encapnet_tf.models.encapnet import EncapNet, EncapNet18, EncapNet101
from encapnet_tf.models.encapnet6 import EncapNet6

__all__ = ["EncapNet", "EncapNet6", "EncapNet18", "EncapNet101"]
