"""Stateless tensor functions for capsule networks on every Keras backend."""

from encapnet_tf.ops.activation.relu_squash import relu_squash
from encapnet_tf.ops.capsules import merge_capsules, split_capsules
from encapnet_tf.ops.convolution.grouped_conv2d import grouped_conv2d, grouped_conv2d_transpose
from encapnet_tf.ops.routing.dynamic_routing import dynamic_routing
from encapnet_tf.ops.routing.em_routing import em_routing
from encapnet_tf.ops.routing.mapped_capsules import mapped_capsules
from encapnet_tf.ops.squash import capsule_length, squash
from encapnet_tf.ops.transport.pairwise_cost import pairwise_cost
from encapnet_tf.ops.transport.sinkhorn import SinkhornResult, sinkhorn, sinkhorn_plan
from encapnet_tf.ops.transport.sinkhorn_divergence import sinkhorn_divergence

__all__ = [
    "SinkhornResult",
    "capsule_length",
    "dynamic_routing",
    "em_routing",
    "grouped_conv2d",
    "grouped_conv2d_transpose",
    "mapped_capsules",
    "merge_capsules",
    "pairwise_cost",
    "relu_squash",
    "sinkhorn",
    "sinkhorn_divergence",
    "sinkhorn_plan",
    "split_capsules",
    "squash",
]


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
