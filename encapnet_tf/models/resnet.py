"""ResNet-18 and ResNet-20 for comparison with capsule networks.

They are networks without capsules that the paper also regularises.
"""

from encapnet_tf.arguments import whole_number
from encapnet_tf.models.feedback_pairs import module_placement
from encapnet_tf.models.residual_block import residual_block
from encapnet_tf.models.stem_and_head import conv_norm_relu, image_input, plain_classifier


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
    """Build an 18-layer ResNet with the same feature map shapes as EncapNet-18 (EncapNet paper, Tables 2 and 3).

    It has a 3x3 convolution to `num_capsules` channels, four stages of two blocks with 2, 4, 8 and 16 times as many
    channels at strides 1, 2, 2 and 2, the mean over positions, a dense layer and a softmax.

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        num_capsules: output channels of the stem, to which those of the stages are proportional.
        feedback: feedback agreement units in every stage. "half": from the middle block after the first to the stage's
            input. "same": from the stage's output to the output of its first block. "two": both. None: no units.
        feedback_options: as in `EncapNet`; the default generator is "conv".
        include_rescaling: whether the images' pixels are from 0 to 255 and the first layer rescales them to 0 to 1.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only). The model has a settable
            attribute of this name.
        kernel_initializer, bias_initializer: Keras initializers of every convolution.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> class probabilities (batch, classes). The
        last layer of each block is named `stage1_block1`, `stage1_block2`, ...

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
        feedback=feedback,
        feedback_options={"num_capsules": channels, **(feedback_options or {})},
        include_rescaling=include_rescaling,
        name=name,
        synchronized=synchronized,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
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
    """Build a ResNet-20 for small images, with three stages of three residual blocks.

    The caption of the paper's Table 3 cites this network. Differs from the cited ResNet-20 (8.75 % error on CIFAR-10):
    shortcuts that change the shape are 1x1 convolutions, and convolutions have biases.

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        width: channels of the stem and of the first stage; the others have two and four times as many.
        feedback, feedback_options, include_rescaling, synchronized: arguments of `ResNet18`.
        kernel_initializer, bias_initializer: Keras initializers of every convolution.
        name: the model's name.

    Returns:
        A functional Keras model, as from `ResNet18`.

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
        feedback=feedback,
        feedback_options={"num_capsules": 1, **(feedback_options or {})},
        include_rescaling=include_rescaling,
        name=name,
        synchronized=synchronized,
        kernel_initializer=kernel_initializer,
        bias_initializer=bias_initializer,
    )


def _resnet(
    input_shape,
    classes,
    *,
    stem,
    stages,
    feedback,
    feedback_options,
    include_rescaling,
    name,
    synchronized,
    **conv_options,
):
    """Build a ResNet from the number of stem filters and a list of stages."""
    blocks_of = {
        f"stage{s}": [f"stage{s}_block{b + 1}" for b in range(n)] for s, (_, n, _) in enumerate(stages, start=1)
    }
    placement = module_placement(
        feedback,
        blocks_of,
        lowest="stem_relu",
        num_capsules=feedback_options["num_capsules"],
        synchronized=synchronized,
        options={"generator": "conv", **feedback_options},
    )
    options = {"synchronized": synchronized, **conv_options}
    inputs, x = image_input(input_shape, include_rescaling)
    x = placement.after_layer("stem_relu", conv_norm_relu(x, stem, 1, "stem", **options))
    for names, (channels, _, strides) in zip(blocks_of.values(), stages, strict=True):
        for i, block in enumerate(names):
            x = placement.after_layer(block, residual_block(x, channels, strides if i == 0 else 1, block, **options))
    return plain_classifier(inputs, x, classes, name)
