"""Squashes, lengths, masks and lists of capsules: the reference implementations' figures, orders and errors."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.core.family import assert_equal, figures, outputs_and_gradients

SQUASHES = [("efficient", "", "exponential", None), ("sabour", "", "norm", 1e-7), ("sabour", "_small", "norm", 1e-7)]


@pytest.mark.parametrize(("paper", "suffix", "kind", "epsilon"), SQUASHES)
def test_squash_of_the_references(paper, suffix, kind, epsilon):
    file = figures(f"{paper}_squash")

    def squash(x):
        return en.ops.squash(x, kind=kind, epsilon=epsilon)

    outputs, gradients = outputs_and_gradients(squash, [file[f"x{suffix}"]], [file[f"cot_y{suffix}"]])
    assert_equal(outputs, [file[f"y{suffix}"]], 1e-5)
    assert_equal(gradients, [file[f"grad_x{suffix}"]], 1e-4)


@pytest.mark.parametrize("size", [0, 1e-38, 1e-10, 1e-3, 1, 300, 1e18])
@pytest.mark.parametrize(
    ("kind", "epsilon"), [("norm", 1e-7), ("norm", 0), ("exponential", None), ("exponential", 1e-7), ("exponential", 0)]
)
def test_squash_is_finite_at_every_size(kind, epsilon, size):
    def squash(x):
        return en.ops.squash(x, kind=kind, epsilon=epsilon)

    x = np.full((1, 3), size, "float32")
    (y,), (gradient,) = outputs_and_gradients(squash, [x], [np.ones_like(x)])
    assert np.isfinite(gradient).all()
    length = np.linalg.norm(x.astype("float64"))
    expected = -np.expm1(-length) if kind == "exponential" else 1 / (1 + length**-2) if length else 0
    if size in (0, 1, 300, 1e18):
        assert np.linalg.norm(y) == pytest.approx(expected, rel=1e-6)
    if size == 0:
        np.testing.assert_array_equal(gradient, 0)


def test_squash_of_several_axes():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    together = en.ops.squash(x.transpose(0, 2, 1, 3).reshape(2, 4, 15))
    ours = np.transpose(en.ops.squash(x, axis=(1, 3)), (0, 2, 1, 3))
    np.testing.assert_allclose(ours.reshape(2, 4, 15), together, atol=1e-9)


def test_squash_layer_has_both_kinds():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 8)).astype("float32")
    layer = en.layers.Squash(4, kind="exponential", epsilon=0.1)
    expected = en.ops.squash(x.reshape(2, 3, 5, 2, 4), kind="exponential", epsilon=0.1)
    np.testing.assert_allclose(layer(x), np.reshape(expected, x.shape), atol=1e-7)


def test_length_of_the_references():
    file = figures("efficient_length_mask")
    layer = en.layers.CapsuleLength(epsilon=1e-7)
    outputs, gradients = outputs_and_gradients(layer, [file["capsules"]], [file["cot_length"]])
    assert_equal(outputs, [file["length"]], 1e-5)
    assert_equal(gradients, [file["grad_capsules"]], 1e-4)


def test_mask_of_the_references():
    file = figures("efficient_length_mask")
    capsules, labels, labels2 = (file[name] for name in ("capsules", "labels", "labels2"))
    mask = en.layers.CapsuleMask()
    for given in (labels, labels[:, None], np.eye(10)[labels]):
        np.testing.assert_array_equal(mask(capsules, labels=given), file["mask_labels"])
    np.testing.assert_array_equal(mask(capsules), file["mask_longest"])
    both = en.layers.CapsuleMask(count=2)
    for ours, name in ((both(capsules, np.stack([labels, labels2], 1)), "labels"), (both(capsules), "longest")):
        for i in range(2):
            np.testing.assert_array_equal(ours[i], file[f"double_{name}_{i + 1}"])


def test_mask_lets_the_gradient_of_one_capsule_through():
    capsules = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    cotangent = np.arange(24, dtype="float32").reshape(2, 12)
    layer = en.layers.CapsuleMask()
    _, (gradient,) = outputs_and_gradients(lambda x: layer(x, labels=np.array([2, 0])), [capsules], [cotangent])
    expected = np.zeros((2, 3, 4))
    expected[0, 2], expected[1, 0] = cotangent[0, 8:], cotangent[1, :4]
    np.testing.assert_array_equal(gradient, expected)


def test_mask_of_equally_long_capsules_keeps_one():
    vectors = en.layers.CapsuleMask(count=2)(np.ones((1, 3, 2), "float32"))
    np.testing.assert_array_equal(vectors[0], [[1, 1, 0, 0, 0, 0]])
    np.testing.assert_array_equal(vectors[1], [[0, 0, 1, 1, 0, 0]])


def test_mask_in_a_model_with_labels_in_half_precision():
    """Labels are inputs of the model, and bfloat16 does not hold 257."""
    capsules = keras.Input((300, 1))
    labels = keras.Input((), dtype="float32")
    model = keras.Model([capsules, labels], en.layers.CapsuleMask(dtype="mixed_bfloat16")(capsules, labels))
    x = np.ones((2, 300, 1), "float32")
    np.testing.assert_array_equal(np.argmax(keras.ops.cast(model([x, np.array([257.0, 3])]), "float32"), 1), [257, 3])


@pytest.mark.parametrize(
    ("count", "shape", "labels", "message"),
    [
        (4, (2, 3, 5), None, "at least 4 capsules"),
        (1, (2, 3, 5), (2, 2), r"one-hot rows \(batch, 3\)"),
        (2, (2, 3, 5), (2,), r"\(batch, 2\)"),
        (1, (2, 3, 5, 1), None, "FlattenCapsules"),
    ],
)
def test_wrong_masks_raise(count, shape, labels, message):
    with pytest.raises(ValueError, match=message):
        en.layers.CapsuleMask(count)(np.ones(shape), None if labels is None else np.zeros(labels, "int32"))


def test_flattened_capsules_are_in_order():
    x = np.arange(3 * 2 * 6).reshape(1, 3, 2, 6).astype("float32")  # 2 capsules of 3 components
    by_position, by_capsule = (en.layers.FlattenCapsules(3, order)(x) for order in ("position", "capsule"))
    np.testing.assert_array_equal(by_position[0], x.reshape(12, 3))
    np.testing.assert_array_equal(by_capsule[0], np.concatenate([x[..., :3].reshape(6, 3), x[..., 3:].reshape(6, 3)]))
    inputs = keras.Input((None, None, 6))
    outputs = en.layers.FlattenCapsules(3, "capsule")(inputs)
    assert outputs.shape == (None, None, 3)
    np.testing.assert_array_equal(keras.Model(inputs, outputs)(x), by_capsule)


@pytest.mark.parametrize("make", [lambda: en.layers.FlattenCapsules(5), lambda: en.layers.FlattenCapsules(3, "map")])
def test_wrong_lists_raise(make):
    with pytest.raises(ValueError, match=r"capsule_dim=5|order must be"):
        make()(np.ones((1, 2, 2, 6)))


@pytest.mark.parametrize("epsilon", [0, -1.0, float("nan")])
def test_wrong_epsilons_raise(epsilon):
    with pytest.raises(ValueError, match="epsilon"):
        en.layers.CapsuleLength(epsilon)
