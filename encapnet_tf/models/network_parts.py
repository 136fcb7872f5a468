"""What all networks share: pixels in, convolutions, feedback units, class capsules or class scores out."""

import keras

from encapnet_tf import layers
from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.models.capsule_model import CapsuleModel


def image_input(input_shape, include_rescaling):
    """Input of an image network.

    Args:
        input_shape: (height, width, channels).
        include_rescaling: whether pixels come as 0 to 255, to be brought to 0 to 1 by the first layer.

    Returns:
        The symbolic input and the symbolic image in the network's own scale.
    """
    if len(input_shape) != 3:
        raise ValueError(f"input_shape must be (height, width, channels). Received: input_shape={input_shape!r}.")
    inputs = keras.Input([whole_number("a size in input_shape", n) for n in input_shape], name="image")
    return inputs, keras.layers.Rescaling(1 / 255, name="rescaling")(inputs) if include_rescaling else inputs


def conv_norm_relu(x, filters, strides, name, synchronized=False, kernel_size=3, **conv_options):
    """Dense convolution -> BatchNorm -> ReLU, with the release's padding and batch normalisation."""
    x = layers.GroupedConv2D(filters, kernel_size, strides, name=name, **conv_options)(x)
    x = BatchNorm(synchronized=synchronized, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def conv_stack(x, widths, strides, synchronized=False, **conv_options):
    """One `conv_norm_relu` after another, named "stem", "conv2", "conv3", ...: how the six-layer networks begin."""
    for i, (width, stride) in enumerate(zip(widths, strides, strict=True), start=1):
        x = conv_norm_relu(x, width, stride, "stem" if i == 1 else f"conv{i}", synchronized, **conv_options)
    return x


FEEDBACKS = {None: (), "half": ("half",), "same": ("same",), "two": ("half", "same")}


def feedback_units(feedback, num_capsules, synchronized, options):
    """What puts the chosen feedback agreement units into a module.

    Args:
        feedback: None, "half", "same" or "two".
        num_capsules: of the modules.
        synchronized: of the units' batch normalisations.
        options: further arguments of `layers.FeedbackAgreement`, or None.

    Returns:
        Function of a module's name and depth that makes its units: role ("half", "same") -> unit, for
        `CapConvModule.connect`.

    Raises:
        ValueError: the choice is unknown.
    """
    roles = FEEDBACKS[one_of("feedback", feedback, FEEDBACKS)]

    def units(module, depth):
        if feedback == "same" and not depth:
            raise ValueError(f'feedback="same" connects type II layers to the type I layer; {module} has none.')
        arguments = {"num_capsules": num_capsules, "synchronized": synchronized, **(options or {})}
        return {
            role: layers.FeedbackAgreement(**arguments, name=f"{module}_feedback_{role}")
            for role in roles
            if role == "half" or depth
        }

    return units


def capsule_classifier(inputs, features, classes, capsule_dim, name):
    """Ends a network: capFC to one capsule a class ("class_capsules"), whose lengths are the scores.

    The two last layers work in at least float32, so a mixed-precision model's scores are full precision.
    """
    dtype = at_least_float32()
    capsules = layers.CapFC(whole_number("classes", classes), capsule_dim, name="class_capsules", dtype=dtype)(features)
    lengths = layers.CapsuleLength(name="lengths", dtype=dtype)(capsules)
    return CapsuleModel(inputs, lengths, name=name)


def plain_classifier(inputs, features, classes, name):
    """Ends a network without capsules: mean over positions, dense layer, softmax ("probabilities").

    The scores are from 0 to 1 like capsule lengths, so the margin loss trains both; they are in at least float32.
    """
    dtype = at_least_float32()
    x = keras.layers.GlobalAveragePooling2D(name="pool", dtype=dtype)(features)
    scores = keras.layers.Dense(whole_number("classes", classes), name="scores", dtype=dtype)(x)
    return CapsuleModel(inputs, keras.layers.Softmax(name="probabilities", dtype=dtype)(scores), name=name)


def at_least_float32():
    """The dtype of a network's last layers: float32 where the policy computes in half precision."""
    return "float32" if keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16") else None
