"""Pure functions on tensors, written in `keras.ops`: they run on every Keras backend."""

from encapnet_tf.ops.capsules import merge_capsules, split_capsules
from encapnet_tf.ops.dynamic_routing import dynamic_routing
from encapnet_tf.ops.em_routing import em_routing
from encapnet_tf.ops.grouped_conv2d import grouped_conv2d
from encapnet_tf.ops.mapped_capsules import mapped_capsules
from encapnet_tf.ops.pairwise_cost import pairwise_cost
from encapnet_tf.ops.sinkhorn import SinkhornResult, sinkhorn, sinkhorn_plan
from encapnet_tf.ops.sinkhorn_divergence import sinkhorn_divergence
from encapnet_tf.ops.squash import capsule_length, squash

__all__ = [
    "SinkhornResult",
    "capsule_length",
    "dynamic_routing",
    "em_routing",
    "grouped_conv2d",
    "mapped_capsules",
    "merge_capsules",
    "pairwise_cost",
    "sinkhorn",
    "sinkhorn_divergence",
    "sinkhorn_plan",
    "split_capsules",
    "squash",
]
