"""SelfRoutingCapsNet, a ResNet-20 with self-routing capsule layers (Hahn, Pyeon and Kim, 2019)."""

import keras

from encapnet_tf.arguments import whole_number
from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.layers import GroupedConv2D, SelfRouting2D
from encapnet_tf.model_classes.capsule_model import CapsuleModel
from encapnet_tf.models.feedback_pairs import module_placement
from encapnet_tf.models.residual_block import residual_block
from encapnet_tf.models.stem_and_head import conv_norm_relu, full_precision_dtype, image_input


def SelfRoutingCapsNet(
    input_shape=(32, 32, 3),
    classes=10,
    num_capsules=32,
    capsule_dim=16,
    depth=1,
    filters=16,
    blocks=3,
    feedback=None,
    feedback_options=None,
    include_rescaling=False,
    synchronized=False,
    kernel_initializer="he_normal",
    name="selfroutingcapsnet",
):
    """Build a ResNet-20 that ends in self-routing capsule layers (Hahn, Pyeon and Kim, NeurIPS 2019).

    "Self-Routing Capsule Networks". It has a 3x3 convolution; three stages of residual blocks with 1, 2 and 4 times
    `filters` channels at strides 1, 2 and 2; two 3x3 convolutions to the activations and the poses of the primary
    capsules; `depth` - 1 convolutional capsule layers, the first at stride 2; and a capsule layer without poses whose
    kernel covers the map. Convolutions have no biases. Parameters for 10 classes of 32x32x3 images, moving statistics
    not counted: 931,664 with depth 1 and 3,187,536 with depth 2.

    Differs from the paper: the output is probabilities rather than their logarithms, and the initial kernels of the
    convolutions are those of `kernel_initializer`.

    Args:
        input_shape: (height, width, channels) of an image; need not be square.
        classes: number of classes.
        num_capsules: capsules at each position of every layer before the last.
        capsule_dim: components of a pose.
        depth: capsule layers after the primary capsules.
        filters: channels of the first convolution and of the first stage.
        blocks: residual blocks of a stage.
        feedback: feedback agreement units, or None (the paper's). "half" or "two": from the poses of every
            convolutional capsule layer to those of the layer below; with depth 1 from those of the primary capsules to
            the last residual block's output.
        feedback_options: as in `EncapNet`; the default generator is "conv".
        include_rescaling: whether the images' pixels are from 0 to 255 and the first layer rescales them to 0 to 1.
        synchronized: whether batch statistics are taken over all replicas (TensorFlow only). The model has a settable
            attribute of this name.
        kernel_initializer: Keras initializer of every convolution's kernel.
        name: the model's name.

    Returns:
        A functional Keras model: images (batch, height, width, channels) -> class activations (batch, classes), which
        sum to 1 over the classes. Train it with a cross-entropy of probabilities.

    Raises:
        ValueError: a size is not positive.

    Example:

    >>> SelfRoutingCapsNet((16, 12, 1), classes=3, num_capsules=2, capsule_dim=4, filters=4, blocks=1).output_shape
    (None, 3)
    """
    sizes = whole_number("num_capsules", num_capsules), whole_number("capsule_dim", capsule_dim)
    width, levels = whole_number("filters", filters), whole_number("depth", depth)
    last_block = f"stage3_block{whole_number('blocks', blocks)}"
    modules = {f"capsules{i}": [f"capsules{i}_norm"] for i in range(1, levels)}
    placement = module_placement(
        feedback,
        modules or {"primary": ["primary_poses"]},
        lowest="primary_poses" if modules else last_block,
        num_capsules=num_capsules,
        synchronized=synchronized,
        options={"generator": "conv", **(feedback_options or {})},
    )
    options = {"synchronized": synchronized, "use_bias": False, "kernel_initializer": kernel_initializer}
    inputs, x = image_input(input_shape, include_rescaling)
    x = conv_norm_relu(x, width, 1, "stem", **options)
    for stage, (factor, strides) in enumerate([(1, 1), (2, 2), (4, 2)], start=1):
        for i in range(1, blocks + 1):
            step = strides if i == 1 else 1
            x = residual_block(x, factor * width, step, f"stage{stage}_block{i}", shortcut="pad", **options)
    x = placement.after_layer(last_block, x)
    convolution = {"use_bias": False, "kernel_initializer": kernel_initializer}
    activations = GroupedConv2D(num_capsules, 3, name="primary_activations_conv", **convolution)(x)
    activations = BatchNorm(synchronized=synchronized, name="primary_activations_norm")(activations)
    activations = keras.layers.Activation("sigmoid", name="primary_activations")(activations)
    poses = GroupedConv2D(num_capsules * capsule_dim, 3, name="primary_poses_conv", **convolution)(x)
    poses = BatchNorm(synchronized=synchronized, name="primary_poses")(poses)
    poses = placement.after_layer("primary_poses", poses)
    for i in range(1, levels):
        activations, poses = SelfRouting2D(*sizes, 3, 2 if i == 1 else 1, name=f"capsules{i}")([activations, poses])
        poses = BatchNorm(synchronized=synchronized, name=f"capsules{i}_norm")(poses)
        poses = placement.after_layer(f"capsules{i}_norm", poses)
    dtype, window = full_precision_dtype(), tuple(poses.shape[1:3])
    last = SelfRouting2D(
        whole_number("classes", classes), None, window, padding="valid", dtype=dtype, name="class_routing"
    )
    scores = keras.layers.Reshape((classes,), dtype=dtype, name="probabilities")(last([activations, poses]))
    return CapsuleModel(inputs, scores, name=name)
