"""Functions that build EncapNet and other image classifiers as functional Keras models."""

from encapnet_tf.models.capnet import CapNet
from encapnet_tf.models.efficient_capsnet import EfficientCapsNet
from encapnet_tf.models.encapnet import EncapNet, EncapNet18, EncapNet101
from encapnet_tf.models.encapnet6 import EncapNet6
from encapnet_tf.models.inverted_attention_capsnet import InvertedAttentionCapsNet
from encapnet_tf.models.plain_cnn import PlainCNN
from encapnet_tf.models.resnet import ResNet18, ResNet20
from encapnet_tf.models.sabour_capsnet import SabourCapsNet
from encapnet_tf.models.self_routing_capsnet import SelfRoutingCapsNet

__all__ = [
    "CapNet", "EfficientCapsNet", "EncapNet", "EncapNet6", "EncapNet18", "EncapNet101", "InvertedAttentionCapsNet",
    "PlainCNN", "ResNet18", "ResNet20", "SabourCapsNet", "SelfRoutingCapsNet",
]  # fmt: skip


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
