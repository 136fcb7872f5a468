"""CapNet: the six-layer network with iterative routing that EncapNet is compared with."""

import keras

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.blocks.capsules_of_length import CapsulesOfLength
from encapnet_tf.layers import CapsuleLength, DynamicRouting, EMRouting, GroupedConv2D, Squash
from encapnet_tf.models.capsule_model import CapsuleModel
from encapnet_tf.models.network_parts import at_least_float32, conv_norm_relu, conv_stack, feedback_units, image_input

ROUTINGS = ("dynamic", "em")


def CapNet(
    input_shape=(32, 32, 3),
    classes=10,
    routing="dynamic",
    num_capsules=32,
    iterations=3,
    softmax_over="output",
    rescale=False,
    feedback=None,
    feedback_options=None,
    include_rescaling=False,
    synchronized=False,
    kernel_initializer="glorot_normal",
    bias_initializer="zeros",
    name="capnet",
):
    """Builds the CapNet of Table 1: row (a) with `routing="dynamic"`, row (b) with "em".

    Four convolutions (stem 32, 64, 128 at stride 2, 256 at stride 2) to 32 capsules of dimension 8 at each position,
    squashed; a capsule layer to as many capsules of dimension 16 as there are (2048 for 32-pixel images); a second one
    to the classes. 9,913,600 trainable parameters with dynamic routing for 10 classes of 32x32x3 images, 9,991,508 with
    EM.

    EM routing needs activations. The paper's parameters fit two convolutions that make them, one for each capsule
    layer; ours are 3x3 at stride 2 beside the fourth convolution. The second layer's inputs are as active as both its
    convolution and the first layer's routing say. Class capsules are as long as their activations.

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        routing: "dynamic" or "em".
        num_capsules: capsules at each position; the convolutions' widths are 1, 2, 4 and 8 times as many.
        iterations: rounds of routing.
        softmax_over: of dynamic routing, as in `layers.DynamicRouting`.
        rescale: of EM routing, as in `layers.EMRouting`.
        feedback: "half" or "two" puts a feedback agreement unit from the first capsule layer's output to its input.
            (The paper gives CapNet none.)
        feedback_options: arguments of `layers.FeedbackAgreement`.
        include_rescaling: whether images come with pixels from 0 to 255, rescaled to 0 to 1 by the first layer.
        synchronized: whether batch statistics are taken over all replicas; the model's attribute of that name is
            settable.
        kernel_initializer, bias_initializer: for every convolution before the capsule layers.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> capsule lengths (batch, classes). The class
        capsules are the output of the layer "class_capsules", (batch, classes, 16); the first capsule layer is named
        "routing1", EM's second "routing2".

    Raises:
        ValueError: a choice is unknown or a size is not positive.

    Example:

    >>> CapNet((12, 8, 1), classes=3, routing="em", num_capsules=4).output_shape
    (None, 3)
    """
    one_of("routing", routing, ROUTINGS)
    whole_number("classes", classes)
    widths = [whole_number("num_capsules", num_capsules) * factor for factor in (1, 2, 4, 8)]
    units = feedback_units(feedback, num_capsules, synchronized, feedback_options)
    unit = units("routing1", depth=0).get("half")
    convolutions = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}
    routed = {"num_input_capsules": num_capsules, "iterations": iterations}

    inputs, x = image_input(input_shape, include_rescaling)
    x = conv_stack(x, widths[:3], (1, 1, 2), synchronized, **convolutions)
    lower = conv_norm_relu(x, widths[3], 2, "conv4", synchronized, **convolutions)
    lower = Squash(8, name="primary_capsules")(lower)
    height, width = lower.shape[1:3]
    higher = num_capsules * height * width  # 2048 of 32 x 8 x 8

    def with_unit(capsules):
        if unit is None:
            return capsules
        return unit([_as_map(capsules, num_capsules, height, width), lower])

    dtype = at_least_float32()
    if routing == "dynamic":
        x = DynamicRouting(higher, 16, softmax_over=softmax_over, name="routing1", **routed)(lower)
        x = with_unit(x)
        x = DynamicRouting(classes, 16, softmax_over=softmax_over, name="class_capsules", dtype=dtype, **routed)(x)
    else:
        activations = [_activations(x, num_capsules, f"activations{i}", convolutions) for i in (1, 2)]
        x, agreed = EMRouting(higher, 16, rescale=rescale, name="routing1", **routed)(lower, activations[0])
        both = keras.layers.Multiply(name="activations")([_as_vector(activations[1], "activations2_vector"), agreed])
        x, agreed = EMRouting(classes, 16, rescale=rescale, name="routing2", dtype=dtype, **routed)(with_unit(x), both)
        x = CapsulesOfLength(name="class_capsules", dtype=dtype)(x, agreed)
    return CapsuleModel(inputs, CapsuleLength(name="lengths", dtype=dtype)(x), name=name)


def _activations(x, num_capsules, name, options):
    """How active each capsule of the map beside is: (batch, height, width, num_capsules), 0 to 1."""
    x = GroupedConv2D(num_capsules, 3, 2, name=f"{name}_conv", **options)(x)
    return keras.layers.Activation("sigmoid", name=name)(x)


def _as_vector(x, name):
    """(batch, height, width, capsules) -> (batch, capsules) in the order (capsule, height, width)."""
    return keras.layers.Flatten(name=name)(keras.layers.Permute((3, 1, 2), name=f"{name}_order")(x))


def _as_map(capsules, num_capsules, height, width):
    """(batch, capsules, dim), in the order (capsule, height, width), -> (batch, height, width, channels)."""
    x = keras.layers.Reshape((num_capsules, height, width, -1), name="routing1_grid")(capsules)
    x = keras.layers.Permute((2, 3, 1, 4), name="routing1_order")(x)
    return keras.layers.Reshape((height, width, -1), name="routing1_map")(x)
