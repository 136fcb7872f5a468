"""Conversion of weights from the EncapNet paper's PyTorch implementation to Keras."""

import re
from functools import partial

import keras
import numpy as np

from encapnet_tf import layers
from encapnet_tf.blocks.capsule_activation import CapsuleActivation
from encapnet_tf.blocks.capsule_mapping import CapsuleMapping
from encapnet_tf.blocks.transposed_conv2d import TransposedConv2D
from encapnet_tf.interop.assignment import assign_by_name, require_built
from encapnet_tf.layers.feedback_agreement import units_of


def load_official_state_dict(layer_or_model, state_dict):
    """Load a state dict of the EncapNet paper's PyTorch implementation into a Keras layer or model.

    Args:
        layer_or_model: a built `CapConv2D`, `CapConvModule`, `CapFC`, `GroupedConv2D`, `DynamicRouting`, `EMRouting`,
            `FeedbackAgreement` or an `EncapNet`.
        state_dict: name -> NumPy array (`{k: v.numpy() for k, v in torch_model.state_dict().items()}`), in PyTorch
            layout: convolution kernels (out, in / groups, height, width). Names are relative to the layer: a network's
            begin with `module0.0` (stem), `module0.1` (its BatchNorm), `module1` to `moduleN`, `final_cls`; a module's
            with `main_conv` and `sub_conv`; a feedback unit's with `G_net` and `critic`.
            `num_batches_tracked` entries are ignored.

    Raises:
        ValueError: the layer has no counterpart in the release or is not built, a name is missing or unused, or a shape
            differs. No weight is changed then.

    Example:

    >>> import encapnet_tf as en, numpy as np
    >>> layer = en.layers.CapFC(num_capsules=5, capsule_dim=8)
    >>> layer.build((None, 3, 3, 32))
    >>> load_official_state_dict(layer, {"weight": np.ones((8, 36, 5), "float32")})
    """
    if not isinstance(layer_or_model, keras.Layer):
        raise _foreign(layer_or_model)
    require_built(layer_or_model)
    arrays = {name: value for name, value in state_dict.items() if not name.endswith("num_batches_tracked")}
    targets = {
        name: (variable, partial(_to_keras, layer=layer))
        for name, (variable, layer) in _targets(layer_or_model).items()
    }
    hint = "Check that depths, routing and coefficients are those of the network that was saved."
    assign_by_name(layer_or_model, targets, arrays, hint)


def _to_keras(array, layer):
    """Convert a weight array from PyTorch's layout to the layout of a Keras layer.

    Convolution kernels go from (out, in, height, width) to (height, width, in, out). Vectors and the capFC's matrices
    keep their layout.
    """
    if array.ndim == 4 and isinstance(layer, TransposedConv2D):
        return _transposed_to_keras(array, layer.groups)
    if isinstance(layer, CapsuleMapping):
        return _mapping_to_keras(array, layer.kernel.shape)
    return np.transpose(array, (2, 3, 1, 0)) if array.ndim == 4 else array


def _transposed_to_keras(array, groups):
    """Convert the kernel of a grouped transposed convolution from PyTorch's layout to the Keras layer's layout.

    It goes from (in, out / groups, height, width) to (height, width, in / groups, out), flipped in height and width.
    """
    channels, group_out, height, width = array.shape
    blocks = array[:, :, ::-1, ::-1].reshape(groups, channels // groups, group_out, height, width)
    return blocks.transpose(3, 4, 1, 0, 2).reshape(height, width, channels // groups, groups * group_out)


def _mapping_to_keras(array, kernel_shape):
    """Convert the kernel or bias of a capsule routing layer from PyTorch's layout to the Keras layer's layout.

    The kernel goes from (inputs * outputs * dim, input_dim, 1, 1) to (inputs, input_dim, outputs, dim), the bias from
    (inputs * outputs * dim,) to (inputs, outputs, dim).
    """
    inputs, input_dim, outputs, dim = kernel_shape
    if array.size == inputs * input_dim * outputs * dim and array.ndim == 4:
        return array.reshape(inputs, outputs, dim, input_dim).transpose(0, 3, 1, 2)
    return array.reshape(inputs, outputs, dim) if array.size == inputs * outputs * dim else array


def _targets(target):
    """Return a dictionary from each PyTorch weight name to the matching Keras variable and layer."""
    if isinstance(target, layers.CapConv2D) and not target.shortcut_convolution:
        return _cap_conv(target, "block.0.", "block.1.") if target.post_activation else _cap_conv(target, "", None)
    if isinstance(target, layers.CapConvModule):
        return _module(target.type1, target.type2)
    if isinstance(target, layers.CapFC):
        return {"weight": (target.kernel, target)}
    if isinstance(target, CapsuleMapping):
        betas = {"beta_v": "beta_u", "beta_a": "beta_a"} if isinstance(target, layers.EMRouting) else {}
        weights = {"W.weight": target.kernel, **({"W.bias": target.bias} if target.use_bias else {})}
        return {
            **{name: (variable, target) for name, variable in weights.items()},
            **{name: (getattr(target, ours), None) for name, ours in betas.items()},
        }
    if isinstance(target, layers.FeedbackAgreement):
        return _feedback(target)
    if isinstance(target, layers.GroupedConv2D):
        return _convolution(target, "")
    if isinstance(target, keras.Model) and {"stem", "module1_type1"} <= {layer.name for layer in target.layers}:
        targets = _network(target)
        if len(targets) == len(target.weights) - sum(len(unit.weights) for unit in units_of(target)):
            return targets
    raise _foreign(target)


def _foreign(target):
    """Return a ValueError for a Keras object without a counterpart in the EncapNet paper's PyTorch code."""
    return ValueError(
        "The released implementation has no counterpart of this object. Expected a CapConv2D without a shortcut of its "
        "own, CapConvModule, CapFC, GroupedConv2D, DynamicRouting, EMRouting, "
        "FeedbackAgreement or an EncapNet. "
        f"Received: {getattr(target, 'name', repr(target))} ({type(target).__name__})."
    )


def _convolution(layer, prefix):
    targets = {f"{prefix}weight": (layer.kernel, layer)}
    return targets if layer.bias is None else targets | {f"{prefix}bias": (layer.bias, layer)}


def _batch_norm(layer, prefix):
    names = ("weight", "bias", "running_mean", "running_var")
    variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    return {f"{prefix}{name}": (variable, layer) for name, variable in zip(names, variables, strict=True)}


def _cap_conv(layer, mapping, norm):
    if layer.routing == "master":
        targets = _convolution(layer.master, f"{mapping}conv.0.")
    else:
        # The release names a coefficient after the branch it is computed FROM; ours after the branch it scales.
        from_master, from_aide = layer.master_coefficient, layer.aide_coefficient
        if layer.coefficients == "cross":
            from_master, from_aide = from_aide, from_master
        targets = {
            **_convolution(layer.master, f"{mapping}main_cap.0.conv.0."),
            **_batch_norm(layer.master_activation.norm, f"{mapping}main_cap.1."),
            **_convolution(layer.aide, f"{mapping}res_cap.0."),
            **_batch_norm(layer.aide_activation.norm, f"{mapping}res_cap.1."),
            **_convolution(from_master, f"{mapping}main_cap_coeff."),
            **_convolution(from_aide, f"{mapping}res_cap_coeff."),
        }
    if layer.post_activation:
        targets |= _batch_norm(layer.activation.norm, norm)
    return targets


def _module(type1, type2, prefix=""):
    targets = _cap_conv(type1, f"{prefix}main_conv.block.0.", f"{prefix}main_conv.block.1.")
    if type1.shortcut_convolution:
        targets |= _convolution(type1.shortcut, f"{prefix}main_conv.conv_adjust_blob_shape.")
    for j, layer in enumerate(type2):
        targets |= _cap_conv(layer, f"{prefix}sub_conv.block.{4 * j}.", f"{prefix}sub_conv.block.{4 * j + 1}.")
    return targets


def _feedback(unit):
    targets: dict[str, tuple] = {}
    for prefix, part in (("G_net.", unit.generator), ("critic.", unit.extractor)):
        for index, layer in enumerate(part.layers if part is not None else ()):
            if isinstance(layer, layers.GroupedConv2D):
                targets |= _convolution(layer, f"{prefix}{index}.")
            elif isinstance(layer, (keras.layers.BatchNormalization, CapsuleActivation)):
                targets |= _batch_norm(getattr(layer, "norm", layer), f"{prefix}{index}.")
    return targets


def _network(model):
    layers_by_name = {layer.name: layer for layer in model.layers}
    targets = {
        **_convolution(layers_by_name["stem"], "module0.0."),
        **_batch_norm(layers_by_name["stem_norm"], "module0.1."),
        "final_cls.weight": (layers_by_name["class_capsules"].kernel, layers_by_name["class_capsules"]),
    }
    modules = sorted({int(m[1]) for m in (re.fullmatch(r"module(\d+)_type1", name) for name in layers_by_name) if m})
    for m in modules:
        type2 = sum(re.fullmatch(rf"module{m}_type2_\d+", name) is not None for name in layers_by_name)
        targets |= _module(
            layers_by_name[f"module{m}_type1"],
            [layers_by_name[f"module{m}_type2_{j + 1}"] for j in range(type2)],
            f"module{m}.",
        )
    return targets
