"""Tables of parameter and operation counts, computed from this package's models.

They belong to section 3.1 of the paper.
"""

import math

import keras

import encapnet_tf as en
from benchmarks.contestants.network_flops import forward_flops
from docs.scripts.markdown import table
from encapnet_tf.layers import CapConv2D, DynamicRouting, EMRouting


def networks() -> str:
    """Return a Markdown table with the parameter and operation counts of several capsule networks and a plain CNN.

    It has parameters, multiply-adds and routing terms of the six-layer networks and EncapNet-18.
    """
    models = {
        "CapNet, dynamic routing (Table 1 a)": en.models.CapNet(),
        "CapNet, EM routing (b)": en.models.CapNet(routing="em"),
        "vanilla CNN, same shape (c)": en.models.PlainCNN(),
        "EncapNet-6, master (e)": en.models.EncapNet6(routing="master"),
        "EncapNet-6, master/aide (f)": en.models.EncapNet6(),
        "EncapNet-18, master": en.models.EncapNet18(routing="master"),
        "EncapNet-18, master/aide": en.models.EncapNet18(),
    }
    header = ("network", "parameters", "multiply-adds for each image", "routing terms for each image")
    return table(header, [(name, *_counts(model)) for name, model in models.items()])


def _counts(model):
    routing = [layer for layer in model.layers if isinstance(layer, (DynamicRouting, EMRouting))]
    mapping = sum(_lower(layer) * math.prod(layer.kernel.shape[1:]) for layer in routing)
    terms = sum(_lower(layer) * layer.num_capsules * layer.iterations for layer in routing)
    terms += sum(_coefficients(layer) for layer in model.layers if isinstance(layer, CapConv2D))
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    return parameters, forward_flops(model) // 2 + mapping, terms


def layer() -> str:
    """Return a Markdown table with parameter counts of capsule layers with and without iterative routing.

    The table also has the numbers of coupling coefficients and routing iterations. It is the paper's example: from
    32 x 8 x 8 capsules of dim 8 to capsules of dim 16.
    """
    lower = keras.Input((8, 8, 256))
    routing_layer = DynamicRouting(2048, 16)
    routing_layer(lower)
    rows = [
        (
            "CapNet: every lower capsule to every higher capsule",
            _size(routing_layer.kernel),
            _lower(routing_layer) * 2048,
            3,
        )
    ]
    for routing, text in (("master", "master branch"), ("master_aide", "master and aide branch")):
        capsules = CapConv2D(16, kernel_size=3, strides=2, routing=routing)
        capsules(lower)
        kernels = [capsules.master.kernel] + ([capsules.aide.kernel] if routing == "master_aide" else [])
        rows.append((f"capConv: {text}", sum(map(_size, kernels)), _coefficients(capsules), 1))
    return table(("mapping", "parameters", "coefficients for each image", "routing rounds"), rows)


def _lower(layer) -> int:
    """Return the number of capsules in the input of a routing layer.

    Capsules at all positions of a map are counted.
    """
    shape = layer.input[0].shape if isinstance(layer.input, (list, tuple)) else layer.input.shape
    return math.prod(shape[1:]) // layer.kernel.shape[1]


def _coefficients(layer) -> int:
    """Return the number of routing coefficients that a capsule convolution layer computes for one image.

    There are one m1 and one m2 for every capsule and position.
    """
    height, width = layer.output.shape[1:3]
    return 2 * layer.num_capsules * height * width if layer.routing == "master_aide" else 0


def _size(variable) -> int:
    return math.prod(variable.shape)
