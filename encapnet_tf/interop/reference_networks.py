"""Mapping from weight names in reference implementations of capsule networks to variables of Keras models."""

import re

import keras

from encapnet_tf import layers
from encapnet_tf.interop.assignment import Target
from encapnet_tf.interop.reference_layers import as_stored, capsule_layer_targets, pytorch_kernel


def network_targets(model: keras.Model) -> dict[str, Target]:
    """Return a dictionary from weight names in a reference implementation to the variables of a Keras model.

    Args:
        model: a model of one of the builders in `encapnet_tf.models`.

    Returns:
        Name -> (variable, conversion); empty for a network that the reference implementations do not have.
    """
    parts = {layer.name: layer for layer in model.layers}
    last = parts.get("class_capsules", parts.get("class_routing"))
    for kind, names, targets in (
        (layers.DynamicRouting, ("stem", "primary_conv"), _sabour),
        (layers.SelfAttentionRouting, ("stem_norm", "conv4_norm", "primary_conv"), _efficient),
        (layers.InvertedAttentionRouting, ("stem", "primary_norm", "class_scores"), _inverted_attention),
        (layers.SelfRouting2D, ("stem_norm", "primary_activations", "primary_poses"), _self_routing),
    ):
        if isinstance(last, kind) and set(names) <= parts.keys():
            return {**targets(parts), **_decoder(parts)}
    return {}


def _decoder(parts):
    """Return a dictionary from the weight names of a reconstruction decoder to Keras variables.

    Each value is a pair (variable, `as_stored`). Without a decoder the dictionary is empty.
    """
    targets: dict[str, Target] = {}
    for layer in parts["reconstruction"].decoder.layers if "reconstruction" in parts else ():
        targets |= _keras_layer(layer, f"decoder/{layer.name}")
    return targets


def _sabour(parts):
    return {
        **_keras_layer(parts["stem"], "conv1"),
        **_keras_layer(parts["primary_conv"], "primary_caps"),
        **capsule_layer_targets(parts["class_capsules"], "digit_caps/"),
    }


def _efficient(parts):
    targets: dict[str, Target] = {}
    for i, layer in enumerate(("stem", "conv2", "conv3", "conv4"), start=1):
        norm = parts[f"{layer}_norm"]
        name = "norm" if isinstance(norm, keras.layers.GroupNormalization) else "bn"
        targets |= {**_keras_layer(parts[layer], f"conv{i}"), **_keras_layer(norm, f"{name}{i}")}
    primary = parts["primary_conv"]
    return {
        **targets,
        "primary_caps/kernel": (primary.kernel, lambda w: w.transpose(0, 1, 3, 2)),  # depthwise
        "primary_caps/bias": (primary.bias, as_stored),
        **capsule_layer_targets(parts["class_capsules"], "fc_caps/"),
    }


def _inverted_attention(parts):
    stem = parts["stem"]
    prefix = "pre_caps.pre_caps."
    targets = _convolution(stem, f"{prefix}0")
    if "stem_norm" in parts:
        targets |= _batch_norm(parts["stem_norm"], f"{prefix}1")
        for name in parts:
            if match := re.fullmatch(r"stage(\d+)_block(\d+)", name):
                stage, block = map(int, match.groups())
                targets |= _residual_block(parts, name, f"{prefix}{stage + 2}.{block - 1}")
    norm = parts["primary_norm"]
    targets |= _convolution(parts["primary_conv"], "pc_layer")
    targets |= {"nonlinear_act.weight": (norm.gamma, as_stored), "nonlinear_act.bias": (norm.beta, as_stored)}
    names = [*(name for name in parts if re.fullmatch(r"capsules\d+", name)), "class_capsules"]
    for i, name in enumerate(names):
        targets |= capsule_layer_targets(parts[name], f"capsule_layers.{i}.")
    dense = parts["class_scores"]
    return targets | {"final_fc.weight": (dense.kernel, lambda w: w.T), "final_fc.bias": (dense.bias, as_stored)}


def _self_routing(parts):
    targets = _convolution(parts["stem"], "conv1") | _batch_norm(parts["stem_norm"], "bn1")
    for name in parts:
        if match := re.fullmatch(r"stage(\d+)_block(\d+)", name):
            targets |= _residual_block(parts, name, f"layer{match[1]}.{int(match[2]) - 1}")
        elif match := re.fullmatch(r"capsules(\d+)", name):
            i = int(match[1]) - 1
            targets |= capsule_layer_targets(parts[name], f"conv_layers.{i}.")
            targets |= _batch_norm(parts[f"{name}_norm"], f"norm_layers.{i}")
    return {
        **targets,
        **_convolution(parts["primary_activations_conv"], "conv_a"),
        **_batch_norm(parts["primary_activations_norm"], "bn_a"),
        **_convolution(parts["primary_poses_conv"], "conv_pose"),
        **_batch_norm(parts["primary_poses"], "bn_pose"),
        **capsule_layer_targets(parts["class_routing"], "fc."),
    }


def _residual_block(parts, block, prefix):
    """Return a dictionary from the PyTorch weight names of a residual block to Keras variables.

    Each value is a pair (variable, function that converts an array to Keras's layout). The Keras layers
    have the names that `models.residual_block` gives them.
    """
    targets: dict[str, Target] = {}
    for i in (1, 2):
        targets |= _convolution(parts[f"{block}_conv{i}"], f"{prefix}.conv{i}")
        targets |= _batch_norm(parts[f"{block}_conv{i}_norm"], f"{prefix}.bn{i}")
    if f"{block}_shortcut_norm" in parts:
        targets |= _convolution(parts[f"{block}_shortcut"], f"{prefix}.shortcut.0")
        targets |= _batch_norm(parts[f"{block}_shortcut_norm"], f"{prefix}.shortcut.1")
    return targets


def _keras_layer(layer, prefix):
    """Return a dictionary from prefixed weight names to the weights of a Keras layer.

    Each value is a pair (variable, `as_stored`).
    """
    return {f"{prefix}/{weight.name}": (weight, as_stored) for weight in layer.weights}


def _convolution(layer, prefix):
    """Return a dictionary from the PyTorch weight names of a convolution layer to Keras variables.

    Each value is a pair (variable, function that converts an array to Keras's layout).
    """
    targets = {f"{prefix}.weight": (layer.kernel, pytorch_kernel)}
    return targets if layer.bias is None else targets | {f"{prefix}.bias": (layer.bias, as_stored)}


def _batch_norm(layer, prefix):
    """Return a dictionary from the PyTorch weight names of a batch normalisation layer to Keras variables.

    Each value is a pair (variable, `as_stored`).
    """
    names = ("weight", "bias", "running_mean", "running_var")
    variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    return {f"{prefix}.{name}": (variable, as_stored) for name, variable in zip(names, variables, strict=True)}
