"""EncapNet-6: the six-layer capsule network of the paper's Table 1."""

from encapnet_tf.arguments import whole_number
from encapnet_tf.layers import CapConvModule
from encapnet_tf.models.network_parts import capsule_classifier, conv_stack, feedback_units, image_input


def EncapNet6(
    input_shape=(32, 32, 3),
    classes=10,
    routing="master_aide",
    coefficients="both",
    num_capsules=32,
    feedback=None,
    feedback_options=None,
    include_rescaling=False,
    aide_excludes_own=False,
    synchronized=False,
    kernel_initializer="glorot_normal",
    bias_initializer="zeros",
    name="encapnet6",
):
    """Builds the six-layer EncapNet of Table 1: row (e) with `routing="master"`, row (f) with "master_aide".

    Four convolutions (stem 32, 64, 128 at stride 2, 256 at stride 2), one capConv from 32 capsules of dimension 8 to 32
    of dimension 16 (kernel 3, stride 2, with its shortcut), capFC. Trainable parameters for 10 classes of 32x32x3
    images: 1,689,856 with "master" (25.8 "Mb" as Table 1 counts, parameters * 16 / 2^20); 8,133,440 with "master_aide"
    (124.1). Differs from the paper: its 60.68 for row (f) follows from no detail that it gives.

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        routing, coefficients, aide_excludes_own: of the capConv layer, as in `layers.CapConv2D`.
        num_capsules: capsules of the capConv layer; the convolutions' widths are 1, 2, 4 and 8 times as many.
        feedback: "half" or "two" puts a feedback agreement unit from the capConv's output to its input; None does not.
        feedback_options: arguments of `layers.FeedbackAgreement`.
        include_rescaling: whether images come with pixels from 0 to 255, rescaled to 0 to 1 by the first layer.
        synchronized: whether batch statistics are taken over all replicas; the model's attribute of that name is
            settable.
        kernel_initializer, bias_initializer: for every convolution.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> capsule lengths (batch, classes).

    Raises:
        ValueError: a choice is unknown or a size is not positive.

    Example:

    >>> EncapNet6((28, 20, 1), classes=3, routing="master", num_capsules=4).output_shape
    (None, 3)
    """
    units = feedback_units(feedback, num_capsules, synchronized, feedback_options)
    convolutions = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}
    inputs, x = image_input(input_shape, include_rescaling)
    widths = [whole_number("num_capsules", num_capsules) * factor for factor in (1, 2, 4, 8)]
    x = conv_stack(x, widths, (1, 1, 2, 2), synchronized, **convolutions)
    x = CapConvModule(
        16,
        num_capsules,
        depth=0,
        strides=2,
        routing=routing,
        coefficients=coefficients,
        aide_excludes_own=aide_excludes_own,
        synchronized=synchronized,
        name="module1",
        **convolutions,
    ).connect(x, **units("module1", depth=0))
    return capsule_classifier(inputs, x, classes, 16, name)
