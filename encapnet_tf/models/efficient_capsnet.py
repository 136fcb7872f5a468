"""EfficientCapsNet, a small capsule network with self-attention routing (Mazzia et al., 2021)."""

import keras

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.blocks.grouped_conv2d import clone_initializer
from encapnet_tf.layers import CapsuleLength, FlattenCapsules, SelfAttentionRouting, Squash
from encapnet_tf.model_classes.capsule_model import CapsuleModel
from encapnet_tf.models.feedback_pairs import module_placement
from encapnet_tf.models.stem_and_head import full_precision_dtype, image_input
from encapnet_tf.models.valid_convolutions import check_image_size, conv_without_padding

# Kernel size and stride of the four convolutions; stride of the depthwise convolution that makes the capsules; smallest
# map that it reads (instance normalisation of a single pixel would leave nothing of it).
FORMS = {
    "mnist": ([(5, 1), (3, 1), (3, 1), (3, 2)], 1, 1),
    "multimnist": ([(5, 1), (3, 1), (3, 2), (3, 2)], 2, 2),
    "smallnorb": ([(7, 2), (3, 1), (3, 1), (3, 2)], 1, 2),
}
_CONVOLUTIONS = ("stem", "conv2", "conv3", "conv4")
_FILTERS = (32, 64, 64, 128)
_PRIMARY_DIM = 8
_LENGTH_EPSILON = 1e-7  # the release's


def EfficientCapsNet(
    input_shape=(28, 28, 1),
    classes=10,
    form="mnist",
    capsule_dim=16,
    feedback=None,
    feedback_options=None,
    include_rescaling=False,
    synchronized=False,
    kernel_initializer="he_normal",
    bias_initializer="zeros",
    name="efficientcapsnet",
):
    """Build Efficient-CapsNet, a small capsule network with self-attention routing (Scientific Reports 11, 2021).

    V. Mazzia, F. Salvetti and M. Chiaberge, arXiv 2101.12491. It has four convolutions without padding (32, 64, 64 and
    128 channels), each followed by an activation and a normalisation; a depthwise convolution that makes 16 squashed
    capsules of dimension 8 from the whole map; and class capsules by self-attention routing.

    | form | images | convolutions | activation, normalisation | trainable parameters |
    |---|---|---|---|---|
    | "mnist" | 28x28x1 | 5x5, 3x3, 3x3, 3x3 at stride 2 | ReLU, BatchNorm | 161,824 (10 classes) |
    | "multimnist" | 36x36x1 | 5x5, 3x3, 3x3 at stride 2, 3x3 at stride 2 | ReLU, BatchNorm | 154,656 (10 classes) |
    | "smallnorb" | 48x48x2 | 7x7 at stride 2, 3x3, 3x3, 3x3 at stride 2 | LeakyReLU, instance | 151,664 (5 classes) |

    On images of another size the depthwise kernel covers the map that is left (in the form "multimnist", all of it but
    one row and column), so there are always 16 capsules.

    Differs from the paper: there is no decoder, and moving statistics have no bias at the start
    (`momentum_warmup` of the batch normalisation).

    Args:
        input_shape: (height, width, channels) of an image, at least 11 x 11 in the form "mnist", 17 x 17 in
            "multimnist" and 23 x 23 in "smallnorb"; need not be square.
        classes: number of classes.
        form: "mnist", "multimnist" or "smallnorb", see the table.
        capsule_dim: components of a class capsule.
        feedback: "half" or "two" for a feedback agreement unit from the fourth convolution's output to the third's, or
            None (the paper's).
        feedback_options: as in `EncapNet`; the default generator is "resize".
        include_rescaling: whether the images' pixels are from 0 to 255 and the first layer rescales them to 0 to 1.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only). The model has a settable
            attribute of this name.
        kernel_initializer: Keras initializer of the convolutions' and the capsules' kernels; that of the depthwise
            kernel is "glorot_uniform".
        bias_initializer: Keras initializer of the convolutions' biases.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> capsule lengths (batch, classes). The class
        capsules are the output of the layer "class_capsules", (batch, classes, capsule_dim).

    Raises:
        ValueError: a size is not positive, `form` is unknown, or the images are too small for the kernels.

    Example:

    >>> model = EfficientCapsNet()
    >>> sum(int(keras.ops.size(w)) for w in model.trainable_weights)
    161824
    """
    convolutions, primary_stride, least = FORMS[one_of("form", form, FORMS)]
    inputs, x = image_input(input_shape, include_rescaling)
    height, width = check_image_size("EfficientCapsNet", input_shape, convolutions, least=least)
    placement = module_placement(
        feedback,
        {"conv4": ["conv4_norm"]},
        lowest="conv3_norm",
        num_capsules=1,
        synchronized=synchronized,
        options={"generator": "resize", **(feedback_options or {})},
    )
    options = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}
    for layer, filters, (kernel, stride) in zip(_CONVOLUTIONS, _FILTERS, convolutions, strict=True):
        x = conv_without_padding(x, filters, kernel, stride, layer, **options)
        x = placement.after_layer(f"{layer}_norm", _activation_and_norm(x, form, layer, synchronized))
    window = (height - primary_stride + 1, width - primary_stride + 1)
    x = keras.layers.DepthwiseConv2D(
        window,
        primary_stride,
        bias_initializer=clone_initializer(bias_initializer),
        data_format="channels_last",
        name="primary_conv",
    )(x)
    x = Squash(_PRIMARY_DIM, kind="exponential", name="primary_capsules")(x)
    x = FlattenCapsules(_PRIMARY_DIM, name="primary_list")(x)
    dtype = full_precision_dtype()
    x = SelfAttentionRouting(
        whole_number("classes", classes),
        capsule_dim,
        kernel_initializer=clone_initializer(kernel_initializer),
        dtype=dtype,
        name="class_capsules",
    )(x)
    return CapsuleModel(inputs, CapsuleLength(_LENGTH_EPSILON, dtype=dtype, name="lengths")(x), name=name)


def _activation_and_norm(x, form, name, synchronized):
    """Apply an activation and a normalisation to a feature map, as the chosen network variant prescribes.

    They are ReLU and batch normalisation, or leaky ReLU and instance normalisation if `form` is "smallnorb".
    """
    if form == "smallnorb":
        x = keras.layers.LeakyReLU(negative_slope=0.3, name=f"{name}_relu")(x)
        return keras.layers.GroupNormalization(groups=-1, epsilon=1e-3, name=f"{name}_norm")(x)
    x = keras.layers.ReLU(name=f"{name}_relu")(x)
    return BatchNorm(epsilon=1e-3, momentum=0.99, synchronized=synchronized, name=f"{name}_norm")(x)
