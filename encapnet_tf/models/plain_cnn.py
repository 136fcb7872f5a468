"""PlainCNN: the six-layer networks without capsules that CapNet and EncapNet are compared with."""

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.models.network_parts import conv_norm_relu, conv_stack, feedback_units, image_input, plain_classifier

# Widths of the five convolutions for 32 capsules' worth of channels. The paper's text gives none: "same_shape" has the
# blob shapes of CapNet, "similar_params" comes to the paper's number of parameters.
WIDTHS = {"same_shape": (32, 64, 128, 256, 512), "similar_params": (32, 256, 512, 512, 1300)}


def PlainCNN(
    input_shape=(32, 32, 3),
    classes=10,
    width="same_shape",
    num_capsules=32,
    feedback=None,
    feedback_options=None,
    include_rescaling=False,
    synchronized=False,
    kernel_initializer="glorot_normal",
    bias_initializer="zeros",
    name="plaincnn",
):
    """Builds the vanilla CNN of Table 1: row (c) with `width="same_shape"`, row (d) with "similar_params".

    Five 3x3 convolutions with BatchNorm and ReLU (the third and fourth at stride 2), mean over positions, dense layer,
    softmax. 1,575,690 trainable parameters for 10 classes of 32x32x3 images, 9,624,782 with "similar_params".

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        width: "same_shape", the blob shapes of CapNet; or "similar_params", as many parameters as CapNet has.
        num_capsules: capsules that a feature map would be read as: every width is in proportion to it.
        feedback: "half" or "two" puts a feedback agreement unit from the fifth convolution's output to its input; None
            does not.
        feedback_options: arguments of `layers.FeedbackAgreement`; the generator is "conv" unless they say otherwise.
        include_rescaling: whether images come with pixels from 0 to 255, rescaled to 0 to 1 by the first layer.
        synchronized: whether batch statistics are taken over all replicas; the model's attribute of that name is
            settable.
        kernel_initializer, bias_initializer: for every convolution.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> class probabilities (batch, classes).

    Raises:
        ValueError: a choice is unknown or a size is not positive.

    Example:

    >>> PlainCNN((28, 20, 1), classes=3, num_capsules=4).output_shape
    (None, 3)
    """
    whole_number("num_capsules", num_capsules)
    widths = [round(w * num_capsules / 32) for w in WIDTHS[one_of("width", width, WIDTHS)]]
    options = {"generator": "conv", **(feedback_options or {})}
    units = feedback_units(feedback, num_capsules, synchronized, options)("conv5", depth=0)
    convolutions = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}
    inputs, x = image_input(input_shape, include_rescaling)
    before = conv_stack(x, widths[:4], (1, 1, 2, 2), synchronized, **convolutions)
    x = conv_norm_relu(before, widths[4], 1, "conv5", synchronized, **convolutions)
    if "half" in units:
        x = units["half"]([x, before])
    return plain_classifier(inputs, x, classes, name)
