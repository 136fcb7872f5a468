"""PlainCNN, a six-layer convolutional network without capsules (EncapNet paper, Table 1)."""

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.models.feedback_pairs import module_placement
from encapnet_tf.models.stem_and_head import conv_norm_relu, conv_stack, image_input, plain_classifier

# Output channels of the five convolutions if num_capsules is 32. The paper gives none: "same_shape" are those of
# CapNet's feature maps, "similar_params" give the paper's number of parameters.
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
    """Build PlainCNN, a six-layer convolutional network without capsules (EncapNet paper, Table 1).

    It is row (c) of the table with `width="same_shape"` and row (d) with "similar_params". It has five 3x3 convolutions
    with BatchNorm and ReLU (the third and fourth at stride 2), the mean over positions, a dense layer and a softmax.
    Trainable parameters for 10 classes of 32x32x3 images: 1,575,690 with "same_shape", 9,624,782 with "similar_params".

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        width: "same_shape" (CapNet's feature map shapes) or "similar_params" (about CapNet's number of parameters).
        num_capsules: the number of output channels of every convolution is proportional to it, as in `CapNet`.
        feedback: "half" or "two" for a feedback agreement unit from the fifth convolution's output to its input, or
            None.
        feedback_options: as in `EncapNet`; the default generator is "conv".
        include_rescaling: whether the images' pixels are from 0 to 255 and the first layer rescales them to 0 to 1.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only). The model has a settable
            attribute of this name.
        kernel_initializer, bias_initializer: Keras initializers of every convolution.
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
    placement = module_placement(
        feedback,
        {"conv5": ["conv5_relu"]},
        lowest="conv4_relu",
        num_capsules=num_capsules,
        synchronized=synchronized,
        options={"generator": "conv", **(feedback_options or {})},
    )
    convolutions = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}
    inputs, x = image_input(input_shape, include_rescaling)
    x = conv_stack(x, widths[:4], (1, 1, 2, 2), synchronized=synchronized, **convolutions)
    x = placement.after_layer("conv4_relu", x)
    x = conv_norm_relu(x, widths[4], 1, "conv5", synchronized=synchronized, **convolutions)
    x = placement.after_layer("conv5_relu", x)
    return plain_classifier(inputs, x, classes, name)
