"""InvertedAttentionCapsNet, a capsule network with inverted dot-product attention routing (Tsai et al., 2020)."""

from collections.abc import Iterable

import keras

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.layers import FlattenCapsules, GroupedConv2D, InvertedAttentionConv2D, InvertedAttentionRouting
from encapnet_tf.model_classes.capsule_model import CapsuleModel
from encapnet_tf.models.feedback_pairs import module_placement
from encapnet_tf.models.residual_block import residual_block
from encapnet_tf.models.stem_and_head import conv_norm_relu, full_precision_dtype, image_input
from encapnet_tf.models.valid_convolutions import check_image_size

BACKBONES = ("resnet", "simple")
SCHEDULES = ("concurrent", "sequential")
_STRIDED = (3, 2, 1)  # kernel size, stride and padding of a backbone's only convolution with a stride
_EPSILON = 1e-5  # of the layer normalisation


def InvertedAttentionCapsNet(
    input_shape=(32, 32, 3),
    classes=10,
    num_capsules=32,
    capsule_dim=16,
    capsule_layers=None,
    class_capsule_dim=16,
    pose="matrix",
    iterations=2,
    schedule="concurrent",
    backbone="resnet",
    filters=64,
    feedback=None,
    feedback_options=None,
    include_rescaling=False,
    synchronized=False,
    kernel_initializer="he_normal",
    name="invertedattentioncapsnet",
):
    """Build the capsule network of "Capsules with Inverted Dot-Product Attention Routing" (ICLR 2020).

    Y.-H. H. Tsai, N. Srivastava, H. Goh and R. Salakhutdinov, arXiv 2002.04764. It has a backbone of convolutions, a
    1x1 convolution to layer-normalised primary capsules, capsule layers, and class capsules, of which one linear
    function of their components, the same for all classes, gives the scores of a softmax. The default is the paper's
    network for CIFAR-10, with 1,828,817 parameters without moving statistics. That for CIFAR-100, with 2,799,629, has
    `capsule_dim=36, capsule_layers=((32, 36, 3, 2), (32, 36, 3, 1), (20, 36)), class_capsule_dim=36`.

    Differs from the released code: convolutional layers read the patches of a map as the paper has it, not in the
    order of memory, so the published checkpoints give other scores.

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        num_capsules, capsule_dim: primary capsules at each position, and components of one.
        capsule_layers: layers between the primary and the class capsules, from the lowest. (capsules, components,
            kernel size, stride) is a convolutional layer without padding; (capsules, components) is fully connected,
            as are those above it. None: two convolutional layers like the primary capsules, with 3x3 kernels and
            strides 2 and 1.
        class_capsule_dim: components of a class capsule.
        pose: "matrix" or "vector", see `layers.InvertedAttentionRouting`.
        iterations: passes of routing.
        schedule: order of the passes. "sequential": each layer makes all its passes before the next layer begins.
            "concurrent": the first pass goes through all layers; in every further one each layer uses the output of the
            layer below, and its own, from the pass before.
        backbone: "resnet": a 3x3 convolution, three residual blocks, and four with twice as many channels that halve
            the map. "simple": a 3x3 convolution of stride 2 with a bias, and ReLU.
        filters: channels of the backbone's first convolution.
        feedback: "half" or "two" for a feedback agreement unit from the first layer of `capsule_layers`, which must be
            convolutional, to the primary capsules, or None (the paper's).
        feedback_options: as in `EncapNet`; the default generator is "resize".
        include_rescaling: whether the images' pixels are from 0 to 255 and the first layer rescales them to 0 to 1.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only). The model has a settable
            attribute of this name.
        kernel_initializer: Keras initializer of every convolution's kernel.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> class probabilities (batch, classes). Their
        logits are the output of the layer "scores", the class capsules that of "class_capsules".

    Raises:
        ValueError: a size is not positive, a choice is unknown, a dimension does not fit `pose`, or the images are too
            small for the kernels.

    Example:

    >>> model = InvertedAttentionCapsNet((16, 14, 1), 3, 4, 4, [(4, 4, 3, 2)], 4, backbone="simple", filters=8)
    >>> model.output_shape
    (None, 3)
    """
    one_of("schedule", schedule, SCHEDULES)
    capsules, dim = whole_number("num_capsules", num_capsules), whole_number("capsule_dim", capsule_dim)
    if capsule_layers is None:
        capsule_layers = ((capsules, dim, 3, 2), (capsules, dim, 3, 1))
    capsule_layers = _check_capsule_layers(capsule_layers)
    convolutions = [sizes for sizes in capsule_layers if len(sizes) == 4]
    inputs, x = image_input(input_shape, include_rescaling)
    check_image_size("InvertedAttentionCapsNet", input_shape, [_STRIDED, *(sizes[2:] for sizes in convolutions)])
    placement = module_placement(
        feedback,
        {"capsules1": ["capsules1"]},
        lowest="primary_capsules",
        num_capsules=num_capsules,
        synchronized=synchronized,
        options={"generator": "resize", **(feedback_options or {})},
    )
    if feedback is not None and not convolutions:
        raise ValueError(
            "A feedback unit connects the first of capsule_layers to the primary capsules, so that layer must be "
            f"convolutional. Received: capsule_layers={capsule_layers!r}."
        )
    options = {"kernel_initializer": kernel_initializer}
    x = _backbone(x, one_of("backbone", backbone, BACKBONES), whole_number("filters", filters), synchronized, options)
    x = _primary_capsules(x, num_capsules, capsule_dim, options)
    x = placement.after_layer("primary_capsules", x)

    passes = whole_number("iterations", iterations)
    in_one_call, calls = (1, passes) if schedule == "concurrent" else (passes, 1)
    layers = _capsule_layers(capsule_layers, num_capsules, capsule_dim, iterations=in_one_call, pose=pose)
    dtype = full_precision_dtype()
    class_layer = InvertedAttentionRouting(
        whole_number("classes", classes), class_capsule_dim, in_one_call, pose, dtype=dtype, name="class_capsules"
    )
    x = _route(x, [*layers, (_flatten_before(layers, capsule_dim, "class_capsules"), class_layer)], calls, placement)
    x = keras.layers.Dense(1, dtype=dtype, name="class_scores")(x)
    x = keras.layers.Reshape((classes,), dtype=dtype, name="scores")(x)
    return CapsuleModel(inputs, keras.layers.Softmax(dtype=dtype, name="probabilities")(x), name=name)


def _check_capsule_layers(capsule_layers) -> list[tuple[int, ...]]:
    """Check the layer sizes in the argument `capsule_layers`, and return them as a list of tuples.

    Raise ValueError if the argument is invalid.
    """
    layers = list(capsule_layers) if isinstance(capsule_layers, Iterable) else [capsule_layers]
    sizes = [tuple(layer) if isinstance(layer, Iterable) else () for layer in layers]
    lengths = [len(layer) for layer in sizes]
    if not set(lengths) <= {2, 4} or lengths != sorted(lengths, reverse=True):
        raise ValueError(
            "capsule_layers must be a list of (capsules, components, kernel size, stride) for convolutional layers, "
            f"followed by (capsules, components) for fully connected ones. Received: {layers!r}."
        )
    return [tuple(whole_number("a size in capsule_layers", size) for size in layer) for layer in sizes]


def _backbone(x, kind, filters, synchronized, options):
    """Apply the convolutions of a capsule network that come before its primary capsules."""
    if kind == "simple":
        x = GroupedConv2D(filters, 3, 2, name="stem", **options)(x)
        return keras.layers.ReLU(name="stem_relu")(x)
    options = {"synchronized": synchronized, "use_bias": False, **options}
    x = conv_norm_relu(x, filters, 1, "stem", **options)
    for stage, (channels, blocks) in enumerate([(filters, 3), (2 * filters, 4)], start=1):
        for i in range(1, blocks + 1):
            x = residual_block(x, channels, stage if i == 1 else 1, f"stage{stage}_block{i}", **options)
    return x


def _primary_capsules(x, num_capsules, capsule_dim, options):
    """Apply a 1x1 convolution to a feature map, and layer normalisation to each capsule of the result."""
    channels = whole_number("num_capsules", num_capsules) * whole_number("capsule_dim", capsule_dim)
    x = GroupedConv2D(channels, 1, use_bias=False, name="primary_conv", **options)(x)
    shape = tuple(x.shape[1:])
    x = keras.layers.Reshape((*shape[:2], num_capsules, capsule_dim), name="primary_split")(x)
    x = keras.layers.LayerNormalization(epsilon=_EPSILON, name="primary_norm")(x)
    return keras.layers.Reshape(shape, name="primary_capsules")(x)


def _capsule_layers(sizes_of_layers, num_capsules, capsule_dim, **options):
    """Create the capsule layers between the primary and the class capsules.

    Args:
        sizes_of_layers: argument `capsule_layers` of `InvertedAttentionCapsNet`.
        num_capsules, capsule_dim: primary capsules at each position, and components of one.
        **options: arguments of the layers.

    Returns:
        List of (layer that flattens the capsule layer's input or None, capsule layer).
    """
    layers: list = []
    for i, (capsules, dim, *kernel) in enumerate(sizes_of_layers, start=1):
        name = f"capsules{i}"
        if kernel:
            side, step = kernel
            layer = InvertedAttentionConv2D(
                capsules, dim, num_capsules, side, step, padding="valid", name=name, **options
            )
            layers.append((None, layer))
        else:
            layer = InvertedAttentionRouting(capsules, dim, name=name, **options)
            layers.append((_flatten_before(layers, capsule_dim, name), layer))
        num_capsules = capsules
    return layers


def _flatten_before(layers, primary_dim, name):
    """Create the layer that flattens a capsule layer's input, or return None if the input is already flat."""
    if layers and isinstance(layers[-1][1], InvertedAttentionRouting):
        return None
    return FlattenCapsules(layers[-1][1].capsule_dim if layers else primary_dim, "capsule", name=f"{name}_inputs")


def _route(primary, layers, calls, placement):
    """Run capsule layers once in sequence, then run routing iterations that update all layers simultaneously.

    Args:
        primary: feature map of the primary capsules.
        layers: list of (layer that flattens the capsule layer's input or None, capsule layer), from the lowest.
        calls: number of sweeps (passes through all layers). From the second on, each layer reads the outputs of the
            sweep before.
        placement: `FeedbackPlacement`; its unit follows the first call of "capsules1".

    Returns:
        Output of the last layer in the last sweep.
    """
    x, outputs = primary, []
    for flatten, layer in layers:
        x = layer(flatten(x) if flatten else x)
        x = placement.after_layer(layer.name, x)
        outputs.append(x)
    for _ in range(calls - 1):
        lower = [primary, *outputs[:-1]]
        outputs = [
            layer(flatten(x) if flatten else x, previous=y)
            for (flatten, layer), x, y in zip(layers, lower, outputs, strict=True)
        ]
    return outputs[-1]
