"""Conversion of weights from reference implementations of capsule networks to Keras."""

import keras

from encapnet_tf.interop.assignment import assign_by_name, require_built
from encapnet_tf.interop.reference_layers import capsule_layer_targets
from encapnet_tf.interop.reference_networks import network_targets


def load_reference_weights(layer_or_model, weights):
    """Load weights from a capsule network's reference implementation into a Keras layer or model.

    Names and layouts are those of the reference implementations: CapsNet-Keras (`SabourCapsNet`), Efficient-CapsNet
    (`EfficientCapsNet`), Apple's inverted attention routing (`InvertedAttentionCapsNet`) and SR-CapsNet
    (`SelfRoutingCapsNet`). The EncapNet paper's own release is read by `load_official_state_dict`.

    | network | some of the names |
    |---|---|
    | `SabourCapsNet` | `conv1/kernel`, `conv1/bias`, `primary_caps/kernel`, `primary_caps/bias`, `digit_caps/W` |
    | `EfficientCapsNet` | `conv1/kernel`, `bn1/gamma` or `norm1/gamma`, `primary_caps/bias`, `fc_caps/W` |
    | `InvertedAttentionCapsNet` | `pre_caps.pre_caps.0.weight`, `pc_layer.weight`, `capsule_layers.0.w` |
    | `SelfRoutingCapsNet` | `conv1.weight`, `layer1.0.bn1.weight`, `conv_a.weight`, `conv_layers.0.W1`, `fc.W2` |
    | with `attach_reconstruction` | also `decoder/dense1/kernel`, `decoder/conv1/bias`, ... |

    Args:
        layer_or_model: one of these networks, built with the sizes of the weights, or a built capsule layer:
            `DynamicRouting` without a bias, `SelfAttentionRouting`, `InvertedAttentionRouting`,
            `InvertedAttentionConv2D`, `SelfRouting2D` or `ConvRouting3D`.
        weights: name -> NumPy array. A layer's names have no prefix: `W`, `b`, `w`, `nonlinear_act.weight`, `W1`, ...
            Entries `num_batches_tracked` are ignored.

    Raises:
        ValueError: the object has no counterpart in these implementations or is not built, a name is missing or unused,
            or a shape differs. No weight is changed then.

    Example:

    >>> import encapnet_tf as en, numpy as np
    >>> layer = en.layers.SelfAttentionRouting(num_capsules=5, capsule_dim=8)
    >>> layer.build((None, 6, 4))
    >>> load_reference_weights(layer, {"W": np.ones((5, 6, 4, 8)), "b": np.zeros((5, 6, 1))})
    """
    if not isinstance(layer_or_model, keras.Layer):
        raise _foreign(layer_or_model)
    require_built(layer_or_model)
    find = network_targets if isinstance(layer_or_model, keras.Model) else capsule_layer_targets
    targets = find(layer_or_model)
    if not targets:
        raise _foreign(layer_or_model)
    arrays = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    hint = "Check that the sizes are those of the network that was saved."
    assign_by_name(layer_or_model, targets, arrays, hint)


def _foreign(target):
    """Return a ValueError for a Keras object without a counterpart in the papers' published code."""
    return ValueError(
        "The reference implementations have no counterpart of this object. Expected a SabourCapsNet, EfficientCapsNet, "
        "InvertedAttentionCapsNet, SelfRoutingCapsNet or one of their capsule layers. Received: "
        f"{getattr(target, 'name', repr(target))} ({type(target).__name__})."
    )
