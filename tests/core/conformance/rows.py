"""Table that all conformance tests loop over: small rows for each public class and builder."""

from functools import partial

import keras
import numpy as np
import pytest

from encapnet_tf.callbacks import CollapseWatch, FeedbackWeightSchedule, SpreadMarginSchedule
from encapnet_tf.layers import (
    CapConv2D,
    CapConvModule,
    CapFC,
    CapsuleLength,
    CapsuleMask,
    FeedbackAgreement,
    FlattenCapsules,
    GroupedConv2D,
    Reconstruction,
    Squash,
)
from encapnet_tf.losses import MarginLoss, SinkhornLoss, SpreadLoss
from encapnet_tf.metrics import SinkhornDivergence
from encapnet_tf.models import (
    CapNet,
    EfficientCapsNet,
    EncapNet,
    EncapNet6,
    EncapNet18,
    EncapNet101,
    InvertedAttentionCapsNet,
    PlainCNN,
    ResNet18,
    ResNet20,
    SabourCapsNet,
    SelfRoutingCapsNet,
)
from tests.core.conformance.routing_rows import ROUTING_LAYERS
from tests.core.conformance.row import Row, join


def _with_identity_shortcut(layer, x, **options):
    return layer(x, shortcut=x, **options)


def _joined(layer, x, **options):
    return join(layer(x, **options))


_master_aide = partial(CapConv2D, 2, 3, kernel_size=3)
_everything = {
    "kernel_initializer": "he_normal",
    "bias_initializer": "ones",
    "kernel_regularizer": "l2",
    "synchronized": True,
}

LAYERS = [
    Row("squash", partial(Squash, capsule_dim=4), (5, 3, 12)),
    Row("squash_options", partial(Squash, 4, kind="exponential", epsilon=1e-7), (5, 3, 12)),
    Row("squash_vectors", partial(Squash, capsule_dim=1), (6,)),
    Row("grouped_conv_dense", partial(GroupedConv2D, 6, 3, strides=2), (6, 5, 4)),
    Row("grouped_conv", partial(GroupedConv2D, filters=8, kernel_size=3, groups=4), (6, 5, 4)),
    Row("grouped_conv_1x1_small", partial(GroupedConv2D, filters=8, kernel_size=1, groups=4), (6, 5, 8)),
    Row("grouped_conv_1x1_large", partial(GroupedConv2D, filters=18, kernel_size=1, groups=2, strides=2), (6, 5, 16)),
    Row(
        "grouped_conv_options",
        partial(
            GroupedConv2D,
            filters=4,
            kernel_size=5,
            groups=2,
            kernel_initializer="he_normal",
            bias_initializer="ones",
            kernel_regularizer="l2",
        ),
        (6, 5, 4),
    ),
    Row("cap_conv_master", partial(CapConv2D, 2, 3, routing="master"), (5, 4, 6)),
    Row("cap_conv_master_bare", partial(CapConv2D, 2, 3, routing="master", post_activation=False), (5, 4, 6)),
    Row("cap_conv_master_strides", partial(CapConv2D, 2, 3, kernel_size=3, strides=2, routing="master"), (7, 4, 3)),
    Row("cap_conv_own", partial(_master_aide, coefficients="own"), (5, 4, 6)),
    Row("cap_conv_cross", partial(_master_aide, coefficients="cross", strides=2), (6, 4, 3)),
    Row("cap_conv_both", partial(CapConv2D, capsule_dim=2, num_capsules=3), (5, 4, 6)),
    Row("cap_conv_excludes_own", partial(_master_aide, aide_excludes_own=True, aide_kernel_size=3), (5, 4, 6)),
    Row("cap_conv_shortcut", partial(_master_aide, coefficients="own"), (5, 4, 6), _with_identity_shortcut),
    Row("cap_conv_bare", partial(_master_aide, post_activation=False), (5, 4, 6)),
    Row("cap_conv_options", partial(_master_aide, aide_kernel_size=1, **_everything), (5, 4, 6)),
    Row("module", partial(CapConvModule, 2, 3, depth=2), (6, 4, 3), slow_xla=True),
    Row("module_master", partial(CapConvModule, capsule_dim=2, num_capsules=3, routing="master"), (6, 4, 3)),
    Row("module_type1_only", partial(CapConvModule, 2, 3, depth=0, strides=1, coefficients="cross"), (5, 4, 6)),
    Row("module_skip_type1", partial(CapConvModule, 2, 3, depth=1, skip="type1", routing="master"), (6, 4, 3)),
    Row(
        "module_skip_type2",
        partial(CapConvModule, 2, 3, depth=2, skip="type2", routing="master"),
        (6, 4, 3),
        slow_xla=True,
    ),
    Row(
        "module_skip_none",
        partial(CapConvModule, 2, 3, depth=2, skip="none", routing="master"),
        (6, 4, 3),
        slow_xla=True,
    ),
    Row(
        "module_options",
        partial(CapConvModule, 2, 3, depth=1, aide_excludes_own=True, **_everything),
        (6, 4, 3),
        slow_xla=True,
    ),
    Row("cap_fc_map", partial(CapFC, num_capsules=3, capsule_dim=2), (3, 2, 8)),
    Row("cap_fc_capsules", partial(CapFC, 2, 4, kernel_initializer="ones", kernel_regularizer="l2"), (5, 4)),
    Row("capsule_length", partial(CapsuleLength), (5, 4)),
    Row("capsule_length_options", partial(CapsuleLength, epsilon=0.01), (5, 4)),
    Row("capsule_mask", partial(CapsuleMask), (5, 4)),
    Row("capsule_mask_options", partial(CapsuleMask, count=2), (5, 4), _joined),
    Row("flatten_capsules", partial(FlattenCapsules, 4), (3, 2, 12)),
    Row("flatten_capsules_options", partial(FlattenCapsules, capsule_dim=3, order="capsule"), (3, 2, 12)),
    *ROUTING_LAYERS,
]


def _with_its_input_halved(layer, x, **options):
    """Call a unit on a map and a map of half its size, both of six channels."""
    higher = keras.layers.Conv2D(6, 3, strides=2, padding="same")(x)
    return layer([higher, x], **options)


# Units return their input; their losses, gradients and precision are tested in tests/feedback.
UNITS = [
    Row("feedback", partial(FeedbackAgreement, 5.0, 3), (8, 6, 6), _with_its_input_halved),
    Row(
        "feedback_options",
        partial(
            FeedbackAgreement,
            weight=0.5,
            num_capsules=2,
            epsilon=0.1,
            iterations=3,
            cost="euclidean",
            debias=False,
            differentiate_plan=True,
            generator="conv",
            extractor=None,
            divergence="kl",
            extractor_objective="frozen",
            solver="plain",
            relative_epsilon=True,
            synchronized=True,
        ),
        (8, 6, 6),
        _with_its_input_halved,
    ),
    Row("reconstruction", partial(Reconstruction, (4, 3, 2)), (5, 4)),
    Row(
        "reconstruction_options",
        partial(Reconstruction, image_shape=(4, 3, 1), decoder="conv", weight=0.5, max_pixel=255.0),
        (5, 4),
    ),
]

_two_modules = {"depths": (1, 2), "capsule_dims": (2, 3), "strides": (1, 2), "num_capsules": 3}

MODELS = [
    Row("encapnet", partial(EncapNet, (8, 6, 2), 3, **_two_modules), (8, 6, 2), slow_xla=True),
    Row(
        "encapnet_mixed",
        partial(
            EncapNet,
            (6, 7, 1),
            4,
            **_two_modules,
            routing=("master", "master_aide"),
            coefficients=("own", "cross"),
            skip="type1",
            include_rescaling=True,
            aide_excludes_own=True,
            synchronized=True,
        ),
        (6, 7, 1),
        slow_xla=True,
    ),
    Row(
        "encapnet18",
        partial(EncapNet18, (8, 6, 1), 3, depths=(1, 1, 1, 1), num_capsules=2, routing="master"),
        (8, 6, 1),
        slow_xla=True,
    ),
    Row("encapnet6", partial(EncapNet6, (8, 6, 1), 3, num_capsules=2), (8, 6, 1), slow_xla=True),
    Row("capnet_dynamic", partial(CapNet, (8, 6, 1), 3, num_capsules=2), (8, 6, 1), slow_xla=True),
    Row("capnet_em", partial(CapNet, (8, 6, 1), 3, "em", num_capsules=2, iterations=2), (8, 6, 1), slow_xla=True),
    Row("plain_cnn", partial(PlainCNN, (8, 6, 1), 3, num_capsules=2, include_rescaling=True), (8, 6, 1)),
    Row(
        "plain_cnn_similar_params",
        partial(PlainCNN, (8, 6, 1), 3, "similar_params", num_capsules=1, synchronized=True),
        (8, 6, 1),
        slow_xla=True,
    ),
    Row("resnet18", partial(ResNet18, (16, 12, 1), 3, num_capsules=4), (16, 12, 1), slow_xla=True),
    Row("resnet20", partial(ResNet20, (8, 6, 1), 3, width=2), (8, 6, 1), slow_xla=True),
    Row(
        "encapnet101", partial(EncapNet101, (8, 6, 1), 3, depths=(2, 1, 0, 1), num_capsules=2), (8, 6, 1), slow_xla=True
    ),
    Row(
        "sabour_capsnet",
        partial(
            SabourCapsNet,
            (20, 18, 1),
            3,
            2,
            8,
            4,
            filters=4,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.3),
        ),
        (20, 18, 1),
    ),
    Row("efficient_capsnet", partial(EfficientCapsNet, (12, 14, 1), 3, include_rescaling=True), (12, 14, 1)),
    Row(
        "efficient_capsnet_smallnorb",
        partial(EfficientCapsNet, (24, 26, 2), 3, form="smallnorb"),
        (24, 26, 2),
        slow_xla=True,
    ),
    Row(
        "inverted_attention_capsnet",
        partial(
            InvertedAttentionCapsNet, (14, 12, 1), 3, 2, 4, [(2, 4, 3, 2), (3, 4)], 4, backbone="simple", filters=4
        ),
        (14, 12, 1),
        slow_xla=True,
    ),
    Row(
        "inverted_attention_capsnet_options",
        partial(
            InvertedAttentionCapsNet,
            (8, 6, 1),
            3,
            num_capsules=2,
            capsule_dim=3,
            capsule_layers=[(2, 5, 2, 1)],
            class_capsule_dim=4,
            pose="vector",
            schedule="sequential",
            filters=2,
            synchronized=True,
        ),
        (8, 6, 1),
        slow_xla=True,
    ),
    Row(
        "self_routing_capsnet",
        partial(SelfRoutingCapsNet, (8, 6, 1), 3, 2, 4, depth=2, filters=4, blocks=1),
        (8, 6, 1),
        slow_xla=True,
    ),
]

CLASS_LOSSES = [
    Row("margin_loss", partial(MarginLoss), (4,)),
    Row(
        "margin_loss_options",
        partial(MarginLoss, positive_margin=0.8, negative_margin=0.2, down_weight=0.25, reduction="sum", name="m"),
        (4,),
    ),
    Row("spread_loss", partial(SpreadLoss, margin=0.4), (4,)),
]

# The Sinkhorn loss compares sets and has no labels; tests/sinkhorn has its values.
LOSSES = [
    *CLASS_LOSSES,
    Row(
        "sinkhorn_loss",
        partial(SinkhornLoss, 0.5, 7, "sqeuclidean", debias=False, value="dual", relative_epsilon=True),
        (4,),
        one_hot=True,
    ),
    Row(
        "sinkhorn_loss_of_samples",
        partial(SinkhornLoss, iterations=2, sample_axis=1, reduction="sum", block_size=None),
        (4,),
        one_hot=True,
    ),
]

METRICS = [
    Row("sinkhorn_divergence", partial(SinkhornDivergence, 0.5, 7, "euclidean", value="dual"), (4,), one_hot=True),
    Row(
        "sinkhorn_divergence_of_samples",
        partial(SinkhornDivergence, sample_axis=1, block_size=None, iterations=2, relative_epsilon=True, name="moved"),
        (4,),
        one_hot=True,
    ),
]

CALLBACKS = [
    Row("collapse_watch", partial(CollapseWatch, np.ones((3, 4, 4), "float32"), ratio=0.1), (4,)),
    Row("feedback_weight_schedule", partial(FeedbackWeightSchedule, float), (4,)),
    Row("spread_margin_schedule", partial(SpreadMarginSchedule, start=0.3, end=0.8), (4,), loss=SpreadLoss),
]

ROWS = LAYERS + UNITS + MODELS + LOSSES + METRICS + CALLBACKS
LAYERS_AND_MODELS = LAYERS + MODELS


def named(row):
    return row.name


def joined_layers(rows):
    """Return one model of several rows of layers, each with an input and an output of its own."""
    inputs = [keras.Input(row.shape) for row in rows]
    outputs = [row.call(row.factory(), x) for row, x in zip(rows, inputs, strict=True)]
    return keras.Model(inputs, keras.layers.Concatenate()([keras.layers.Flatten()(x) for x in outputs]))


def has_capsules(model):
    """Return whether a network's scores are lengths of class capsules; those of the others are probabilities."""
    return any(layer.name == "lengths" for layer in model.layers)


def last_layers(model):
    """Return the layers of a network that compute the class scores."""
    names = ("class_capsules", "lengths", "scores", "class_routing", "probabilities")
    return [layer for layer in model.layers if layer.name in names]


def enliven(layer, x):
    """Set biases, betas and kernels of zeros of a layer or model off 0 and its moving statistics to those of `x`.

    The scores of an untrained network in evaluation are near 0 for every input, since capsules shrink in every squash:
    two wrong networks would agree.
    """
    rng = np.random.default_rng(7)
    for weight in layer.trainable_weights:
        if weight.name in ("bias", "beta", "routing_kernel"):
            weight.assign(weight + rng.uniform(-0.2, 0.6, weight.shape))
    norms = [part for part in layer._flatten_layers() if isinstance(part, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    if norms:
        layer(x, training=True)
    for norm in norms:
        norm.momentum = 0.9
    return layer


def under_xla(rows):
    """Return the parameters of a test that compiles, the long ones marked slow."""
    return [pytest.param(row, id=row.name, marks=[pytest.mark.slow] if row.slow_xla else []) for row in rows]
