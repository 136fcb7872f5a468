"""ResNets: what the feedback agreement unit is tried on besides EncapNet."""

import keras

from encapnet_tf.arguments import whole_number
from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.layers import GroupedConv2D
from encapnet_tf.models.network_parts import conv_norm_relu, feedback_units, image_input, plain_classifier


def ResNet18(
    input_shape=(32, 32, 3),
    classes=10,
    num_capsules=32,
    feedback=None,
    feedback_options=None,
    include_rescaling=False,
    synchronized=False,
    kernel_initializer="glorot_normal",
    bias_initializer="zeros",
    name="resnet18",
):
    """Builds the ResNet of Tables 2 and 3: 18 layers, two blocks a stage, with EncapNet-18's feature map shapes.

    stem 3x3 convolution to `num_capsules` channels -> four stages of 2, 4, 8 and 16 times as many channels at strides
    1, 2, 2, 2 -> mean over positions, dense layer, softmax.

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        num_capsules: capsules that a feature map would be read as: the width of the stem.
        feedback: feedback agreement units in every stage: "half" (from the middle block after the first to the stage's
            input), "same" (from the stage's output to its first block's), "two" (both) or None; as in
            `models.EncapNet`, the first block standing for the type I layer.
        feedback_options: arguments of `layers.FeedbackAgreement`; the generator is "conv" unless they say otherwise.
        include_rescaling: whether images come with pixels from 0 to 255, rescaled to 0 to 1 by the first layer.
        synchronized: whether batch statistics are taken over all replicas; the model's attribute of that name is
            settable.
        kernel_initializer, bias_initializer: for every convolution.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> class probabilities (batch, classes). Each
        block's output is that of its last layer, named `stage1_block1`, `stage1_block2`, ...

    Raises:
        ValueError: a choice is unknown or a size is not positive.

    Example:

    >>> ResNet18((16, 12, 1), classes=3, num_capsules=2).output_shape
    (None, 3)
    """
    channels = whole_number("num_capsules", num_capsules)
    return _resnet(
        input_shape,
        classes,
        stem=channels,
        stages=[(2 * channels, 2, 1), (4 * channels, 2, 2), (8 * channels, 2, 2), (16 * channels, 2, 2)],
        units=feedback_units(feedback, channels, synchronized, {"generator": "conv", **(feedback_options or {})}),
        include_rescaling=include_rescaling,
        options={
            "synchronized": synchronized,
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
        },
        name=name,
    )


def ResNet20(
    input_shape=(32, 32, 3),
    classes=10,
    width=16,
    feedback=None,
    feedback_options=None,
    include_rescaling=False,
    synchronized=False,
    kernel_initializer="glorot_normal",
    bias_initializer="zeros",
    name="resnet20",
):
    """Builds the ResNet-20 for small images that Table 3's caption cites (8.75 % on CIFAR-10): three stages of three.

    Differs from that ResNet-20: where a stage changes the shape, its shortcut is a 1x1 convolution, and convolutions
    have biases.

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        width: channels of the stem and of the first stage; the others have two and four times as many.
        feedback, feedback_options, include_rescaling, synchronized: as in `ResNet18`.
        kernel_initializer, bias_initializer: for every convolution.
        name: the model's name.

    Returns:
        A functional Keras model, as `ResNet18`.

    Raises:
        ValueError: a choice is unknown or a size is not positive.

    Example:

    >>> ResNet20((16, 12, 1), classes=3, width=2).output_shape
    (None, 3)
    """
    channels = whole_number("width", width)
    return _resnet(
        input_shape,
        classes,
        stem=channels,
        stages=[(channels, 3, 1), (2 * channels, 3, 2), (4 * channels, 3, 2)],
        units=feedback_units(feedback, 1, synchronized, {"generator": "conv", **(feedback_options or {})}),
        include_rescaling=include_rescaling,
        options={
            "synchronized": synchronized,
            "kernel_initializer": kernel_initializer,
            "bias_initializer": bias_initializer,
        },
        name=name,
    )


def _resnet(input_shape, classes, stem, stages, units, include_rescaling, options, name):
    """`stages`: (channels, blocks, strides) of each; `options`: of its convolutions and batch normalisations."""
    inputs, x = image_input(input_shape, include_rescaling)
    x = conv_norm_relu(x, stem, 1, "stem", **options)
    for s, (channels, blocks, strides) in enumerate(stages, start=1):
        stage, lower = f"stage{s}", x
        stage_units = units(stage, blocks - 1)
        x = first = _block(x, channels, strides, f"{stage}_block1", **options)
        for i in range(blocks - 1):
            x = _block(x, channels, 1, f"{stage}_block{i + 2}", **options)
            if "half" in stage_units and i == (blocks - 2) // 2:
                x = stage_units["half"]([x, lower])
        if "same" in stage_units:
            x = stage_units["same"]([x, first])
    return plain_classifier(inputs, x, classes, name)


def _block(x, channels, strides, name, **options):
    """Two convolutions and a shortcut: the identity, or a 1x1 convolution where the shape changes."""
    y = conv_norm_relu(x, channels, strides, f"{name}_conv1", **options)
    y = _conv_norm(y, channels, 3, 1, f"{name}_conv2", **options)
    if strides != 1:  # by a layer of its own: oneDNN's bfloat16 gradient of a strided 1x1 convolution crashes
        x = keras.layers.AveragePooling2D(1, strides, name=f"{name}_subsample")(x)
    if x.shape[-1] != channels:
        x = _conv_norm(x, channels, 1, 1, f"{name}_shortcut", **options)
    return keras.layers.ReLU(name=name)(keras.layers.Add(name=f"{name}_add")([y, x]))


def _conv_norm(x, channels, kernel_size, strides, name, synchronized, **conv_options):
    x = GroupedConv2D(channels, kernel_size, strides, name=name, **conv_options)(x)
    return BatchNorm(synchronized=synchronized, name=f"{name}_norm")(x)
