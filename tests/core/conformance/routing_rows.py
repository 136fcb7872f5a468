"""Rows of the conformance table for the layers with routing: a row for each layer, and one with all its options."""

from functools import partial

import keras

from encapnet_tf import layers
from tests.core.conformance.row import Row, join

_options = {"kernel_initializer": "he_normal", "kernel_regularizer": "l2"}
_options_with_bias = {**_options, "bias_initializer": "ones"}


def _capsules_with_activations(layer, x, **options):
    return join(layer(x, **options))


def _with_activations(layer, x, **options):
    return join(layer(x, activations=keras.ops.sigmoid(x[..., ::2]), **options))


def _with_a_second_pass(layer, x, **options):
    return layer(x, previous=layer(x, **options), **options)


def _activations_and_poses(layer, x, **options):
    """Call self-routing on two capsules: two channels are activations, the others poses."""
    outputs = layer([keras.ops.sigmoid(x[..., :2]), x[..., 2:]], **options)
    return join(outputs) if isinstance(outputs, list) else outputs


def _shapes_of_activations_and_poses(shape):
    return [(*shape[:-1], 2), (*shape[:-1], shape[-1] - 2)]


_self_routing = {"call": _activations_and_poses, "build_shape": _shapes_of_activations_and_poses}

ROUTING_LAYERS = [
    Row("dynamic_routing", partial(layers.DynamicRouting, 3, 4, num_input_capsules=2), (3, 2, 6)),
    Row(
        "dynamic_routing_options",
        partial(
            layers.DynamicRouting,
            num_capsules=3,
            capsule_dim=2,
            num_input_capsules=2,
            iterations=2,
            softmax_over="input",
            **_options_with_bias,
        ),
        (6, 4),
    ),
    Row("em_routing", partial(layers.EMRouting, 3, 4, num_input_capsules=2), (3, 2, 6), _capsules_with_activations),
    Row("em_routing_activations", partial(layers.EMRouting, 3, 2, num_input_capsules=2), (3, 2, 4), _with_activations),
    Row(
        "em_routing_options",
        partial(
            layers.EMRouting,
            num_capsules=3,
            capsule_dim=2,
            num_input_capsules=2,
            iterations=2,
            rescale=True,
            inverse_temperature=0.5,
            **_options_with_bias,
        ),
        (6, 4),
        _capsules_with_activations,
    ),
    Row("dynamic_routing_capsules", partial(layers.DynamicRouting, 3, 4, use_bias=False, epsilon=1e-7), (6, 4)),
    Row("self_attention_routing", partial(layers.SelfAttentionRouting, 3, 4), (6, 5)),
    Row(
        "self_attention_routing_options", partial(layers.SelfAttentionRouting, 3, 4, 1e-7, **_options_with_bias), (6, 5)
    ),
    Row("inverted_attention_routing", partial(layers.InvertedAttentionRouting, 3, 4), (6, 5), _with_a_second_pass),
    Row(
        "inverted_attention_routing_options",
        partial(layers.InvertedAttentionRouting, 3, 4, iterations=3, pose="matrix", **_options),
        (6, 4),
    ),
    Row("inverted_attention_one_component", partial(layers.InvertedAttentionRouting, 3, 1), (6, 5)),
    Row("inverted_attention_conv", partial(layers.InvertedAttentionConv2D, 3, 4, 2, strides=2), (5, 4, 6)),
    Row(
        "inverted_attention_conv_options",
        partial(
            layers.InvertedAttentionConv2D,
            num_capsules=3,
            capsule_dim=4,
            num_input_capsules=2,
            kernel_size=(2, 3),
            strides=(1, 2),
            iterations=1,
            pose="matrix",
            padding="valid",
            **_options,
        ),
        (3, 5, 8),
    ),
    Row("self_routing", partial(layers.SelfRouting2D, 3, 4, strides=2), (5, 4, 8), **_self_routing),
    Row(
        "self_routing_options",
        partial(
            layers.SelfRouting2D,
            num_capsules=3,
            capsule_dim=None,
            kernel_size=(3, 2),
            strides=(1, 2),
            padding="valid",
            routing_initializer="he_normal",
            **_options_with_bias,
        ),
        (3, 2, 8),
        **_self_routing,
    ),
    Row("conv_routing", partial(layers.ConvRouting3D, 3, 4, 2, strides=2), (5, 4, 6)),
    Row(
        "conv_routing_options",
        partial(
            layers.ConvRouting3D,
            num_capsules=3,
            capsule_dim=4,
            num_input_capsules=2,
            kernel_size=(2, 3),
            strides=(1, 2),
            padding="valid",
            iterations=2,
            **_options_with_bias,
        ),
        (4, 5, 6),
    ),
]
