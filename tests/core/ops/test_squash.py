"""Squash and capsule lengths: closed forms, properties, and finite values and gradients at every extreme."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import encapnet_tf as en
from tests.core.ops import numpy_reference

DTYPES = ["float16", "bfloat16", "float32", "float64"]
EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-22, "float64": 2.0**-50}
LARGEST = {"float16": 6e4, "bfloat16": 1e18, "float32": 1e18, "float64": 1e100}
CAPSULES = hnp.arrays("float64", (3, 4), elements=st.floats(-1e3, 1e3, width=32))


def value_and_gradient(function, x, jit_compile):
    """Of the sum of the function's values."""

    @tf.function(jit_compile=jit_compile)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            total = tf.reduce_sum(y)
        return y, tape.gradient(total, x)

    return [np.float64(values.numpy()) for values in run(x)]


def test_closed_form():
    y = np.asarray(en.ops.squash(np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 0.0]])))
    np.testing.assert_allclose(y, [[15 / 26, 20 / 26], [0, 0], [-0.5, 0]], atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(CAPSULES)
def test_properties(x):
    y = np.asarray(en.ops.squash(x))
    lengths, squashed = np.linalg.norm(x, axis=-1), np.linalg.norm(y, axis=-1)
    assert (squashed < 1).all()
    np.testing.assert_allclose(y, numpy_reference.squash(x), atol=1e-6)
    np.testing.assert_allclose(y * lengths[:, None], x * squashed[:, None], atol=1e-6 * max(1, lengths.max()))
    np.testing.assert_allclose(en.ops.squash(-x), -y)


def test_length_grows_with_length():
    x = np.logspace(-3, 3, 50)[:, None]
    assert (np.diff(np.asarray(en.ops.squash(x))[:, 0]) > 0).all()


@pytest.mark.parametrize("axis", [0, 1, -2, -1])
def test_axis(rng, axis):
    x = rng.normal(size=(3, 4, 5))
    expected = np.moveaxis(numpy_reference.squash(np.moveaxis(x, axis, -1)), -1, axis)
    np.testing.assert_allclose(en.ops.squash(x, axis), expected, atol=1e-9)
    np.testing.assert_allclose(en.ops.capsule_length(x, axis), np.linalg.norm(x, axis=axis), atol=1e-9)


def test_gradient_is_the_derivative(rng):
    """Against central differences, in float64."""
    x, direction, step = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), 1e-6
    for function in (en.ops.squash, en.ops.capsule_length):
        _, gradient = value_and_gradient(function, tf.constant(x), False)
        ahead, behind = (np.sum(function(x + sign * step * direction)) for sign in (1, -1))
        assert np.sum(gradient * direction) == pytest.approx((ahead - behind) / (2 * step), rel=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_finite_at_every_size(dtype, jit_compile):
    """From 0 over the smallest numbers to the largest: values and gradients finite, lengths at most 1."""
    smallest = {"float16": 6e-8, "bfloat16": 1e-38, "float32": 1e-38, "float64": 1e-300}[dtype]
    sizes = np.array([0, smallest, 1e-6, 1e-3, 1, 30, 300, 6e4, LARGEST[dtype]])
    x = tf.cast(sizes[:, None] * [1.0, 1, 1, -1, 1, 0], dtype)
    y, gradient = value_and_gradient(en.ops.squash, x, jit_compile)
    assert np.isfinite(y).all()
    assert np.isfinite(gradient).all()
    lengths = np.linalg.norm(y, axis=-1)
    assert (lengths <= 1 + 4 * EPSILON[dtype]).all()
    assert lengths[-1] == pytest.approx(1, abs=8 * EPSILON[dtype])
    assert (y[0] == 0).all()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_length_is_finite_at_every_size(dtype, jit_compile):
    sizes = np.array([0, 1e-6, 1e-3, 1, 300, LARGEST[dtype] / 2])
    x = tf.cast(sizes[:, None] * [1.0, 1, -1, 0], dtype)
    y, gradient = value_and_gradient(en.ops.capsule_length, x, jit_compile)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(y, np.linalg.norm(np.float64(tf.cast(x, "float64")), axis=-1), 4 * EPSILON[dtype], 2e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_kept(dtype):
    x = tf.cast([[0.5, 1.0]], dtype)
    assert en.ops.squash(x).dtype == dtype
    assert en.ops.capsule_length(x).dtype == dtype


def test_half_precision_is_as_good_as_its_dtype(rng):
    """Norms are taken in float32: squares of float16 numbers below 2e-4 would be 0, above 256 infinite."""
    x = np.float16(rng.normal(size=(50, 8)) * np.logspace(-3, 3, 50)[:, None])
    np.testing.assert_allclose(en.ops.squash(x), numpy_reference.squash(x), rtol=2e-3, atol=2e-6)


def test_layer_reads_capsule_major_channels(rng):
    x = rng.normal(size=(2, 3, 5, 12)).astype("float32")
    expected = numpy_reference.squash(x.reshape(2, 3, 5, 3, 4)).reshape(x.shape)
    np.testing.assert_allclose(en.layers.Squash(4)(x), expected, atol=1e-6)


def test_split_and_merge(rng):
    x = rng.normal(size=(2, 3, 12))
    capsules = en.ops.split_capsules(x, 4)
    np.testing.assert_array_equal(capsules, x.reshape(2, 3, 3, 4))
    np.testing.assert_array_equal(en.ops.merge_capsules(capsules), x)
    with pytest.raises(ValueError, match="12 channels"):
        en.ops.split_capsules(x, 5)


def test_wrong_arguments_raise():
    for capsule_dim in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="capsule_dim"):
            en.layers.Squash(capsule_dim)
    with pytest.raises(ValueError, match="capsule_dim=5"):
        en.layers.Squash(5)(np.ones((1, 12)))
    with pytest.raises(ValueError, match="capsule_dim=4"):
        en.layers.Squash(4)(keras.Input((3, None)))
