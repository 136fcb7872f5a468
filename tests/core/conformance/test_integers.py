"""Integer and boolean arrays, lists, and float64 arrays: cast as Keras's own layers and losses cast them."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.core.conformance.rows import LAYERS, named
from tests.core.conformance.test_precision import first_of_each_class

RNG = np.random.default_rng(0)
POINTS = RNG.integers(0, 2, (4, 6))
KERNEL, BIAS = (RNG.normal(size=shape).astype("float32") for shape in ((3, 2, 5, 4), (3, 5, 4)))
CONV_KERNEL = RNG.normal(size=(3, 3, 1, 4)).astype("float32")
ZEROS = np.zeros(5, "float32")
EACH = [[0, 1], [2, 3], [4, 5]]  # the entries of each of three capsules

# The table's rows of two of these take the sigmoid of an input, which integers have none of; a module only stacks
# `CapConv2D`.
ELSEWHERE = ("layers.EMRouting", "layers.SelfRouting2D", "layers.CapConvModule")
ROWS = [row for row in first_of_each_class(LAYERS) if row.public not in ELSEWHERE]
OPS = {
    "squash": en.ops.squash,
    "capsule_length": en.ops.capsule_length,
    "relu_squash": lambda x: en.ops.relu_squash(x, 2),
    "pairwise_cost": lambda x: en.ops.pairwise_cost(x, np.float32(POINTS[::-1]), "euclidean"),
    "pairwise_cost_of_both": lambda x: en.ops.pairwise_cost(x, x),
    "sinkhorn_plan": lambda x: en.ops.sinkhorn_plan(np.asarray(x)[:, :4], 0.5),
    "sinkhorn_divergence": lambda x: en.ops.sinkhorn_divergence(np.float32(POINTS[::-1]), x, cost="sqeuclidean"),
    "grouped_conv2d": lambda x: en.ops.grouped_conv2d(np.reshape(x, (1, 4, 3, 2)), CONV_KERNEL, 2),
    "grouped_conv2d_transpose": lambda x: en.ops.grouped_conv2d_transpose(
        np.reshape(x, (1, 4, 3, 2)), CONV_KERNEL, 2, (8, 6)
    ),
    "mapped_capsules": lambda x: en.ops.mapped_capsules(np.asarray(x)[:, EACH][:, :, None], KERNEL, BIAS),
    "dynamic_routing": lambda x: en.ops.dynamic_routing(np.asarray(x)[:, EACH][:, :, None], KERNEL, BIAS),
    "em_routing": lambda x: en.ops.em_routing(
        np.asarray(x)[:, EACH][:, :, None], np.asarray(x)[:, :3, None], KERNEL, BIAS, ZEROS, ZEROS
    )[0],
    "margin_loss": lambda x: en.losses.MarginLoss()(x, np.full((4, 6), 0.4)),
    "margin_loss_lengths": lambda x: en.losses.MarginLoss().call([0, 1, 2, 3], x),
    "spread_loss_lengths": lambda x: en.losses.SpreadLoss().call(np.array([0, 1, 2, 3]), x),
    "sinkhorn_loss": lambda x: en.losses.SinkhornLoss()(x, np.float32(POINTS[::-1])),
}


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float64", "list"])
@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_ops_and_losses(op, dtype):
    x = POINTS.tolist() if dtype == "list" else POINTS.astype(dtype)
    expected, ours = op(np.float32(POINTS)), op(x)
    assert ours.dtype == expected.dtype or dtype == "float64"
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("row", ROWS, ids=named)
def test_layers(row, policy):
    """The layer's output is that for the same values in float32, in its compute dtype."""
    keras.config.set_dtype_policy(policy)
    x = (row.input() > 0).astype("float32")
    layer = row.factory()
    expected = row.call(layer, x)
    for dtype in ("int32", "bool", "float64"):
        ours = row.call(layer, x.astype(dtype))
        if row.public != "layers.FeedbackAgreement":  # returns its input
            assert ours.dtype == expected.dtype
        np.testing.assert_array_equal(np.float32(ours), np.float32(expected))


def test_em_routing():
    layer = en.layers.EMRouting(3, 4, num_input_capsules=2)
    x = RNG.integers(0, 2, (2, 3, 2, 8))
    activations = RNG.integers(0, 2, (2, 3, 2, 2))
    expected = layer(np.float32(x), activations=np.float32(activations))
    for ours, theirs in zip(layer(x, activations=activations), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_self_routing():
    layer = en.layers.SelfRouting2D(3, 4)
    inputs = RNG.integers(0, 2, (2, 3, 2, 2)), RNG.integers(0, 2, (2, 3, 2, 8))
    for ours, theirs in zip(layer(inputs), layer([np.float32(x) for x in inputs]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_feedback_agreement():
    unit = en.layers.FeedbackAgreement(generator="conv")
    higher, lower = RNG.integers(0, 9, (2, 3, 4, 4, 2))
    expected = unit.agreement(*(keras.ops.convert_to_tensor(x, "float32") for x in (higher, lower)))
    ours = unit.agreement(*(keras.ops.convert_to_tensor(x) for x in (higher, lower)))
    assert float(ours) == pytest.approx(float(expected))
