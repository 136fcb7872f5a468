"""Functions that build EncapNet and other image classifiers as functional Keras models."""

from encapnet_tf.models.capnet import CapNet
from encapnet_tf.models.encapnet import EncapNet, EncapNet18, EncapNet101
from encapnet_tf.models.encapnet6 import EncapNet6
from encapnet_tf.models.plain_cnn import PlainCNN
from encapnet_tf.models.resnet import ResNet18, ResNet20

__all__ = ["CapNet", "EncapNet", "EncapNet6", "EncapNet18", "EncapNet101", "PlainCNN", "ResNet18", "ResNet20"]


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
