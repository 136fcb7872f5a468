"""Public Keras layers for capsule networks."""

from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D as GroupedConv2D
from encapnet_tf.layers.cap_conv2d import CapConv2D as CapConv2D
from encapnet_tf.layers.cap_conv_module import CapConvModule as CapConvModule
from encapnet_tf.layers.cap_fc import CapFC as CapFC
from encapnet_tf.layers.capsule_length import CapsuleLength as CapsuleLength
from encapnet_tf.layers.capsule_mask import CapsuleMask as CapsuleMask
from encapnet_tf.layers.feedback_agreement import FeedbackAgreement as FeedbackAgreement
from encapnet_tf.layers.flatten_capsules import FlattenCapsules as FlattenCapsules
from encapnet_tf.layers.reconstruction import Reconstruction as Reconstruction
from encapnet_tf.layers.routing.conv_routing3d import ConvRouting3D as ConvRouting3D
from encapnet_tf.layers.routing.dynamic_routing import DynamicRouting as DynamicRouting
from encapnet_tf.layers.routing.em_routing import EMRouting as EMRouting
from encapnet_tf.layers.routing.inverted_attention_conv2d import InvertedAttentionConv2D as InvertedAttentionConv2D
from encapnet_tf.layers.routing.inverted_attention_routing import InvertedAttentionRouting as InvertedAttentionRouting
from encapnet_tf.layers.routing.self_attention_routing import SelfAttentionRouting as SelfAttentionRouting
from encapnet_tf.layers.routing.self_routing2d import SelfRouting2D as SelfRouting2D
from encapnet_tf.layers.squash import Squash as Squash

__all__ = sorted(name for name, thing in globals().items() if isinstance(thing, type))


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
