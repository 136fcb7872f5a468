"""CapNet, a six-layer capsule network with iterative routing (EncapNet paper, Table 1)."""

import keras

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.blocks.capsules_of_length import CapsulesOfLength
from encapnet_tf.layers import CapsuleLength, DynamicRouting, EMRouting, GroupedConv2D, Squash
from encapnet_tf.model_classes.capsule_model import CapsuleModel
from encapnet_tf.models.feedback_pairs import module_placement
from encapnet_tf.models.stem_and_head import conv_norm_relu, conv_stack, full_precision_dtype, image_input

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
    """Build CapNet, a six-layer capsule network with dynamic or EM routing (EncapNet paper, Table 1).

    It is row (a) of the table with `routing="dynamic"` and row (b) with "em". It has four convolutions (32, 64, 128 and
    256 channels, the last two at stride 2), whose output is squashed as 32 capsules of dimension 8 at each position; a
    capsule layer to as many capsules of dimension 16 (2048 for 32-pixel images); and a capsule layer to the classes.
    Trainable parameters for 10 classes of 32x32x3 images: 9,913,600 with dynamic routing, 9,991,508 with EM routing.

    EM routing needs activations of the input capsules. The paper does not describe them, but its number of parameters
    fits one convolution for each capsule layer. Ours are 3x3 at stride 2, in parallel with the fourth convolution. The
    second capsule layer multiplies its convolution's activations by those of the first layer's routing. The length of a
    class capsule is its activation.

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        routing: "dynamic" or "em".
        num_capsules: capsules at each position; the convolutions have 1, 2, 4 and 8 times as many channels.
        iterations: rounds of routing.
        softmax_over: argument of `layers.DynamicRouting`.
        rescale: argument of `layers.EMRouting`.
        feedback: "half" or "two" for a feedback agreement unit from the first capsule layer's output to its input, or
            None (the paper's).
        feedback_options: as in `EncapNet`.
        include_rescaling: whether the images' pixels are from 0 to 255 and the first layer rescales them to 0 to 1.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only). The model has a settable
            attribute of this name.
        kernel_initializer, bias_initializer: Keras initializers of every convolution before the capsule layers.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> capsule lengths (batch, classes). The class
        capsules are the output of the layer "class_capsules", (batch, classes, 16); the first capsule layer is named
        "routing1". With EM routing the second is named "routing2".

    Raises:
        ValueError: a choice is unknown or a size is not positive.

    Example:

    >>> CapNet((12, 8, 1), classes=3, routing="em", num_capsules=4).output_shape
    (None, 3)
    """
    one_of("routing", routing, ROUTINGS)
    whole_number("classes", classes)
    widths = [whole_number("num_capsules", num_capsules) * factor for factor in (1, 2, 4, 8)]
    placement = module_placement(
        feedback,
        {"routing1": ["routing1_map"]},
        lowest="primary_capsules",
        num_capsules=num_capsules,
        synchronized=synchronized,
        options=feedback_options,
    )
    convolutions = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}
    options = {"num_input_capsules": num_capsules, "iterations": iterations}

    inputs, x = image_input(input_shape, include_rescaling)
    x = conv_stack(x, widths[:3], (1, 1, 2), synchronized=synchronized, **convolutions)
    primary = conv_norm_relu(x, widths[3], 2, "conv4", synchronized=synchronized, **convolutions)
    primary = placement.after_layer("primary_capsules", Squash(8, name="primary_capsules")(primary))
    height, width = primary.shape[1:3]
    capsule_count = num_capsules * height * width  # 2048 = 32 * 8 * 8 for 32-pixel images

    def regularise(capsules):
        """Insert a Sinkhorn-divergence regulariser after the first capsule routing layer of a network.

        It is a `FeedbackAgreement` layer. Return `capsules` unchanged if `feedback` is None.
        """
        if feedback is None:
            return capsules
        return placement.after_layer("routing1_map", _as_map(capsules, num_capsules, height, width))

    dtype = full_precision_dtype()
    if routing == "dynamic":
        options["softmax_over"] = softmax_over
        x = DynamicRouting(capsule_count, 16, name="routing1", **options)(primary)
        x = DynamicRouting(classes, 16, name="class_capsules", dtype=dtype, **options)(regularise(x))
    else:
        options["rescale"] = rescale
        first, second = (_activations(x, num_capsules, f"activations{i}", convolutions) for i in (1, 2))
        x, activations = EMRouting(capsule_count, 16, name="routing1", **options)(primary, first)
        second = _as_vector(second, "activations2_vector")
        activations = keras.layers.Multiply(name="activations")([second, activations])
        x = regularise(x)
        x, activations = EMRouting(classes, 16, name="routing2", dtype=dtype, **options)(x, activations)
        x = CapsulesOfLength(name="class_capsules", dtype=dtype)(x, activations)
    return CapsuleModel(inputs, CapsuleLength(name="lengths", dtype=dtype)(x), name=name)


def _activations(x, num_capsules, name, options):
    """Compute capsule activations in the range 0 to 1 by a convolution and a sigmoid.

    Return (batch, height, width, num_capsules).
    """
    x = GroupedConv2D(num_capsules, 3, 2, name=f"{name}_conv", **options)(x)
    return keras.layers.Activation("sigmoid", name=name)(x)


def _as_vector(x, name):
    """Flatten capsule activations to one vector per image.

    From (batch, height, width, capsules); the order is (capsule, height, width).
    """
    return keras.layers.Flatten(name=name)(keras.layers.Permute((3, 1, 2), name=f"{name}_order")(x))


def _as_map(capsules, num_capsules, height, width):
    """Reshape a list of capsules to a feature map.

    From (batch, capsules, capsule_dim) to (batch, height, width, channels).
    """
    x = keras.layers.Reshape((num_capsules, height, width, -1), name="routing1_grid")(capsules)
    x = keras.layers.Permute((2, 3, 1, 4), name="routing1_order")(x)
    return keras.layers.Reshape((height, width, -1), name="routing1_map")(x)
