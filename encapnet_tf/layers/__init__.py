"""Public Keras layers for capsule networks."""

from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D
from encapnet_tf.layers.cap_conv2d import CapConv2D
from encapnet_tf.layers.cap_conv_module import CapConvModule
from encapnet_tf.layers.cap_fc import CapFC
from encapnet_tf.layers.capsule_length import CapsuleLength
from encapnet_tf.layers.dynamic_routing import DynamicRouting
from encapnet_tf.layers.em_routing import EMRouting
from encapnet_tf.layers.feedback_agreement import FeedbackAgreement
from encapnet_tf.layers.squash import Squash

__all__ = [
    "CapConv2D",
    "CapConvModule",
    "CapFC",
    "CapsuleLength",
    "DynamicRouting",
    "EMRouting",
    "FeedbackAgreement",
    "GroupedConv2D",
    "Squash",
]


def __dir__() -> list[str]:
    """List the public names only, for completion and `dir`."""
    return list(__all__)
