"""SabourCapsNet, the capsule network with dynamic routing of Sabour, Frosst and Hinton (2017)."""

import keras

from encapnet_tf.arguments import whole_number
from encapnet_tf.blocks.grouped_conv2d import clone_initializer
from encapnet_tf.layers import CapsuleLength, DynamicRouting, FlattenCapsules, Squash
from encapnet_tf.model_classes.capsule_model import CapsuleModel
from encapnet_tf.models.feedback_pairs import module_placement
from encapnet_tf.models.stem_and_head import full_precision_dtype, image_input
from encapnet_tf.models.valid_convolutions import check_image_size, conv_without_padding

_KERNEL = 9  # of both convolutions
_EPSILON = 1e-7  # of the squash and of the lengths, as in released codes


def SabourCapsNet(
    input_shape=(28, 28, 1),
    classes=10,
    num_capsules=32,
    primary_dim=8,
    capsule_dim=16,
    filters=256,
    iterations=3,
    feedback=None,
    feedback_options=None,
    include_rescaling=False,
    kernel_initializer="glorot_uniform",
    bias_initializer="zeros",
    name="sabourcapsnet",
):
    """Build the CapsNet of Sabour, Frosst and Hinton, "Dynamic Routing Between Capsules" (NIPS 2017).

    It has a 9x9 convolution with ReLU, a 9x9 convolution of stride 2 to squashed primary capsules, and class capsules
    by dynamic routing, in which every primary capsule has matrices of its own. Convolutions have no padding. For images
    of 28x28x1 there are 1,152 primary capsules and 6,804,224 parameters.

    Differs from the paper: there is no decoder, and 1e-7 is added in the squash and in the lengths, as in released
    codes.

    Args:
        input_shape: (height, width, channels) of an image, at least 17 x 17; need not be square.
        classes: number of classes.
        num_capsules: primary capsules at each position.
        primary_dim, capsule_dim: components of a primary capsule and of a class capsule.
        filters: output channels of the first convolution.
        iterations: rounds of routing.
        feedback: "half" or "two" for a feedback agreement unit from the primary capsules to the first convolution's
            output, or None (the paper's).
        feedback_options: as in `EncapNet`; the default generator is "resize".
        include_rescaling: whether the images' pixels are from 0 to 255 and the first layer rescales them to 0 to 1.
        kernel_initializer: Keras initializer of the convolutions' and the capsules' kernels.
        bias_initializer: Keras initializer of the convolutions' biases.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> capsule lengths (batch, classes). The class
        capsules are the output of the layer "class_capsules", (batch, classes, capsule_dim).

    Raises:
        ValueError: a size is not positive, or the images are too small for the kernels.

    Example:

    >>> SabourCapsNet((20, 24, 1), classes=3, num_capsules=2, filters=8).output_shape
    (None, 3)
    """
    channels = whole_number("num_capsules", num_capsules) * whole_number("primary_dim", primary_dim)
    inputs, x = image_input(input_shape, include_rescaling)
    check_image_size("SabourCapsNet", input_shape, [(_KERNEL, 1), (_KERNEL, 2)])
    placement = module_placement(
        feedback,
        {"primary": ["primary_capsules"]},
        lowest="stem_relu",
        num_capsules=num_capsules,
        synchronized=False,
        options={"generator": "resize", **(feedback_options or {})},
    )
    options = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}
    x = conv_without_padding(x, whole_number("filters", filters), _KERNEL, 1, "stem", **options)
    x = placement.after_layer("stem_relu", keras.layers.ReLU(name="stem_relu")(x))
    x = conv_without_padding(x, channels, _KERNEL, 2, "primary_conv", **options)
    x = Squash(primary_dim, epsilon=_EPSILON, name="primary_capsules")(x)
    x = FlattenCapsules(primary_dim, name="primary_list")(placement.after_layer("primary_capsules", x))
    dtype = full_precision_dtype()
    x = DynamicRouting(
        whole_number("classes", classes),
        capsule_dim,
        iterations=iterations,
        kernel_initializer=clone_initializer(kernel_initializer),
        use_bias=False,
        epsilon=_EPSILON,
        dtype=dtype,
        name="class_capsules",
    )(x)
    return CapsuleModel(inputs, CapsuleLength(_EPSILON, dtype=dtype, name="lengths")(x), name=name)
