"""Input layers, first convolutions and classification heads of the image classifiers."""

import keras

from encapnet_tf import layers
from encapnet_tf.arguments import whole_number
from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.model_classes.capsule_model import CapsuleModel


def image_input(input_shape, include_rescaling):
    """Create the image input of a Keras model, and optionally rescale the pixels from 0-255 to 0-1.

    Args:
        input_shape: (height, width, channels).
        include_rescaling: whether the images' pixels are from 0 to 255, for a first layer to rescale to 0 to 1.

    Returns:
        The model's symbolic input, and the symbolic images that the next layer reads.
    """
    if len(input_shape) != 3:
        raise ValueError(f"input_shape must be (height, width, channels). Received: input_shape={input_shape!r}.")
    inputs = keras.Input([whole_number("a size in input_shape", size) for size in input_shape], name="image")
    images = keras.layers.Rescaling(1 / 255, name="rescaling")(inputs) if include_rescaling else inputs
    return inputs, images


def conv_norm_relu(x, filters, strides, name, *, synchronized=False, kernel_size=3, **conv_options):
    """Apply a convolution, batch normalisation and ReLU to a feature map.

    The last layer is named `<name>_relu`.
    """
    x = layers.GroupedConv2D(filters, kernel_size, strides, name=name, **conv_options)(x)
    x = BatchNorm(synchronized=synchronized, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def conv_stack(x, widths, strides, **options):
    """Apply a stack of convolutions, each followed by batch normalisation and ReLU.

    They are the first layers of a six-layer network.

    Args:
        x: symbolic images.
        widths, strides: output channels and stride of each convolution; they are named "stem", "conv2", "conv3", ...
        **options: arguments of `conv_norm_relu`.

    Returns:
        The symbolic output of the last ReLU.
    """
    for i, (width, stride) in enumerate(zip(widths, strides, strict=True), start=1):
        x = conv_norm_relu(x, width, stride, "stem" if i == 1 else f"conv{i}", **options)
    return x


def capsule_classifier(inputs, features, classes, capsule_dim, name):
    """Build an image classifier that ends in one capsule per class and outputs the capsule lengths as scores.

    The capsule layer is a capFC named "class_capsules". The last two layers compute in at least float32, so the scores
    of a mixed-precision model are in full precision.
    """
    dtype = full_precision_dtype()
    capsules = layers.CapFC(whole_number("classes", classes), capsule_dim, name="class_capsules", dtype=dtype)(features)
    lengths = layers.CapsuleLength(name="lengths", dtype=dtype)(capsules)
    return CapsuleModel(inputs, lengths, name=name)


def plain_classifier(inputs, features, classes, name):
    """Build an image classifier that ends in global average pooling, a dense layer and softmax.

    It has no class capsules. The softmax is named "probabilities". The scores are from 0 to 1 as capsule lengths are,
    so one margin loss trains both kinds of networks. The last three layers compute in at least float32.
    """
    dtype = full_precision_dtype()
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="pool", dtype=dtype)(features)
    scores = keras.layers.Dense(whole_number("classes", classes), name="scores", dtype=dtype)(x)
    return CapsuleModel(inputs, keras.layers.Softmax(name="probabilities", dtype=dtype)(scores), name=name)


def full_precision_dtype():
    """Return "float32" if the global Keras dtype policy computes in float16 or bfloat16, else None.

    None selects the policy's dtype.
    """
    return "float32" if keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16") else None
