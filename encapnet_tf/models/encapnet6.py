"""EncapNet-6, a six-layer capsule network (EncapNet paper, Table 1)."""

from encapnet_tf.arguments import whole_number
from encapnet_tf.layers import CapConvModule
from encapnet_tf.models.feedback_pairs import module_placement
from encapnet_tf.models.stem_and_head import capsule_classifier, conv_stack, image_input


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
    """Build EncapNet-6, a six-layer capsule network (EncapNet paper, Table 1).

    It is row (e) of the table with `routing="master"` and row (f) with "master_aide". It has four convolutions (32, 64,
    128 and 256 channels, the last two at stride 2), one capConv from 32 capsules of dimension 8 to 32 of dimension 16
    (kernel 3, stride 2, with a shortcut), and a capFC. Trainable parameters for 10 classes of 32x32x3 images: 1,689,856
    with "master" and 8,133,440 with "master_aide", which are 25.8 and 124.1 "Mb" as Table 1 counts (parameters * 16 /
    2^20). Differs from the paper: nothing that it describes gives its 60.68 for row (f).

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        routing, coefficients, aide_excludes_own: arguments of the capConv layer, `layers.CapConv2D`.
        num_capsules: capsules of the capConv layer; the convolutions' widths are 1, 2, 4 and 8 times as many.
        feedback: "half" or "two" for a feedback agreement unit from the capConv's output to its input, or None.
        feedback_options: as in `EncapNet`.
        include_rescaling: whether the images' pixels are from 0 to 255 and the first layer rescales them to 0 to 1.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only). The model has a settable
            attribute of this name.
        kernel_initializer, bias_initializer: Keras initializers of every convolution.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> capsule lengths (batch, classes).

    Raises:
        ValueError: a choice is unknown or a size is not positive.

    Example:

    >>> EncapNet6((28, 20, 1), classes=3, routing="master", num_capsules=4).output_shape
    (None, 3)
    """
    placement = module_placement(
        feedback,
        {"module1": ["module1_type1"]},
        lowest="conv4_relu",
        num_capsules=num_capsules,
        synchronized=synchronized,
        options=feedback_options,
    )
    convolutions = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}
    inputs, x = image_input(input_shape, include_rescaling)
    widths = [whole_number("num_capsules", num_capsules) * factor for factor in (1, 2, 4, 8)]
    x = conv_stack(x, widths, (1, 1, 2, 2), synchronized=synchronized, **convolutions)
    x = placement.after_layer("conv4_relu", x)
    module = CapConvModule(
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
    )
    x = module.connect(x, placement.after_layer)
    return capsule_classifier(inputs, x, classes, 16, name)
