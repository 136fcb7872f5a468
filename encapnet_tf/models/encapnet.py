"""EncapNet, an image classifier made of stacks of convolutional capsule layers."""

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.layers import CapConvModule
from encapnet_tf.models.feedback_pairs import module_placement
from encapnet_tf.models.pretrained import with_pretrained_weights
from encapnet_tf.models.stem_and_head import capsule_classifier, conv_norm_relu, image_input

_LARGE_STEM_FROM_PIXELS = 96  # smaller side of the image from which on stem="auto" is the large stem


@with_pretrained_weights
def EncapNet(
    input_shape=(32, 32, 3),
    classes=10,
    depths=(3, 3, 3, 3),
    capsule_dims=(2, 4, 8, 16),
    strides=(1, 2, 2, 2),
    num_capsules=32,
    routing="master_aide",
    coefficients="both",
    skip="both",
    feedback=None,
    feedback_options=None,
    include_rescaling=False,
    stem="auto",
    aide_excludes_own=False,
    synchronized=False,
    kernel_initializer="glorot_normal",
    bias_initializer="zeros",
    name="encapnet",
    weights=None,
):
    """Build an EncapNet, an image classifier made of stacks of convolutional capsule layers.

    It consists of a stem, encapsulated modules, a capFC and capsule lengths (section 3.1 and Table 2 of the paper). The
    stem is a 3x3 convolution to `num_capsules` channels, BatchNorm and ReLU. There is one module for each entry of
    `depths`, and the capFC has `classes` capsules. The network has 2 + sum(depth + 1) layers. The modules' layers lie
    flat in the model's graph, named `module1_type1`, `module1_type2_1`, ..., so that `get_layer` finds each.

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        depths: type II layers of each module.
        capsule_dims: capsule dimension of each module.
        strides: stride of each module's type I layer.
        num_capsules: capsules at every layer.
        routing: "master_aide" or "master", for all modules or one per module.
        coefficients: "own", "cross" or "both", for all modules or one per module.
        skip: "both", "type1", "type2" or "none".
        feedback: feedback agreement units in every module, a regulariser that acts in training only. "half": from the
            middle type II layer (the type I layer if there is no other) to the module's input. "same": from the
            module's output to its type I output. "two": both, the paper's final model; a module without type II layers
            has the "half" unit only. None: no units.
        feedback_options: arguments of `layers.FeedbackAgreement`, for example {"weight": 10.0, "epsilon": 1.0}; and
            "modules", the numbers of the modules with units, from 1 (all by default).
        include_rescaling: whether the images' pixels are from 0 to 255 and the first layer rescales them to 0 to 1.
        stem: "small": one 3x3 convolution at full size, the paper's for 32 pixels. "large": a 7x7 and a 3x3
            convolution, each with BatchNorm, ReLU and stride 2, so that the first module works at 32 and 56 pixels for
            images of 128 and 224. "auto": "large" if both sides of the image have at least 96 pixels, else "small".
            Differs from the paper: it does not give the stem of its larger networks.
        aide_excludes_own: whether the aide of output capsule j leaves out input capsule j.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only). The model has a settable
            attribute of this name.
        kernel_initializer, bias_initializer: Keras initializers of every convolution. The release has Glorot normal
            kernels and biases drawn from N(0, 1): `bias_initializer=keras.initializers.RandomNormal(stddev=1.0)`.
        name: the model's name.
        weights: None (random weights), the path of a `.weights.h5` or `.keras` file of a network with these arguments,
            or the name of a preset, "fashion_mnist" (28x28x1) or "digits" (scikit-learn's, 8x8x1). A preset fixes all
            arguments but `include_rescaling`, `synchronized` and `name`, and has a decoder, which
            `strip_reconstruction` removes. An existing path goes before a preset's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> capsule lengths (batch, classes). The class
        capsules are the output of the layer "class_capsules", (batch, classes, capsule_dims[-1]).

    Raises:
        ValueError: a sequence has another length than `depths`, a choice is unknown, there is no such file or preset,
            the file does not fit, or an argument contradicts the preset.

    Example:

    >>> model = EncapNet((16, 16, 1), classes=10, depths=(1, 1), capsule_dims=(2, 4), strides=(1, 2), num_capsules=8)
    >>> model.output_shape
    (None, 10)
    """
    depths = _per_module("depths", depths)
    modules = len(depths)
    per_module = {"capsule_dims": capsule_dims, "strides": strides, "routing": routing, "coefficients": coefficients}
    per_module = {
        key: (value,) * modules if isinstance(value, str) else _per_module(key, value)
        for key, value in per_module.items()
    }
    for key, value in per_module.items():
        if len(value) != modules or not modules:
            raise ValueError(
                f"EncapNet needs one entry of {key} per module, {modules} as in depths={depths} (at least 1). "
                f"Received: {key}={value!r}."
            )
    depths = [whole_number("an entry of depths", depth, least=0) for depth in depths]
    layer_names = {
        f"module{i}": [f"module{i}_type1", *(f"module{i}_type2_{j + 1}" for j in range(depth))]
        for i, depth in enumerate(depths, start=1)
    }
    placement = module_placement(
        feedback,
        layer_names,
        lowest="stem_relu",
        num_capsules=num_capsules,
        synchronized=synchronized,
        options=feedback_options,
    )
    convolutions = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer}

    inputs, x = image_input(input_shape, include_rescaling)
    channels = whole_number("num_capsules", num_capsules)
    if one_of("stem", stem, ("auto", "small", "large")) == "auto":
        stem = "large" if min(input_shape[:2]) >= _LARGE_STEM_FROM_PIXELS else "small"
    stem_options = {"synchronized": synchronized, **convolutions}
    if stem == "large":
        x = conv_norm_relu(x, channels, 2, "stem_large", kernel_size=7, **stem_options)
    x = conv_norm_relu(x, channels, 2 if stem == "large" else 1, "stem", **stem_options)
    x = placement.after_layer("stem_relu", x)
    for i, depth in enumerate(depths):
        module = CapConvModule(
            per_module["capsule_dims"][i],
            num_capsules,
            depth,
            per_module["strides"][i],
            per_module["routing"][i],
            per_module["coefficients"][i],
            skip,
            aide_excludes_own=aide_excludes_own,
            synchronized=synchronized,
            name=f"module{i + 1}",
            **convolutions,
        )
        x = module.connect(x, placement.after_layer)
    return capsule_classifier(inputs, x, classes, per_module["capsule_dims"][-1], name)


def _per_module(name, value):
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{name} must be a sequence with one entry per module. Received: {name}={value!r}.")
    return tuple(value)


def EncapNet18(input_shape=(32, 32, 3), classes=10, **options):
    """Build EncapNet-18, the 18-layer capsule network of the EncapNet paper.

    It is the network of Table 2 with N = 3, called "v1" in Table 4. Trainable parameters for 10 classes of 32x32x3
    images: 1,743,680 with `routing="master"`; 36,544,064 with the default master/aide routing, or 36,474,944 with
    `coefficients="own"` or `"cross"`. The release trains this network with `depths=(2, 2, 2, 2)`.

    Args:
        input_shape: (height, width, channels).
        classes: number of classes.
        **options: further arguments of `EncapNet`.

    Returns:
        A functional Keras model, as from `EncapNet`.

    Example:

    >>> EncapNet18(routing="master").count_params() > 1_743_680  # moving statistics come on top
    True
    """
    return EncapNet(input_shape, classes, **{"name": "encapnet18", **options})


def EncapNet101(input_shape=(32, 32, 3), classes=10, **options):
    """Build EncapNet-101, the 101-layer capsule network of the EncapNet paper.

    It is called "v2" in Table 4. Differs from the paper: it does not say how its 101 layers are divided. Ours are
    depths (30, 40, 20, 5), with master routing in modules 1 and 2 and master/aide routing in modules 3 and 4.

    Args:
        input_shape: (height, width, channels).
        classes: number of classes.
        **options: further arguments of `EncapNet`.

    Returns:
        A functional Keras model, as from `EncapNet`.

    Example:

    >>> EncapNet101((16, 16, 3), classes=5, routing="master", num_capsules=4).output_shape
    (None, 5)
    """
    defaults = {
        "depths": (30, 40, 20, 5),
        "routing": ("master", "master", "master_aide", "master_aide"),
        "name": "encapnet101",
    }
    return EncapNet(input_shape, classes, **{**defaults, **options})
