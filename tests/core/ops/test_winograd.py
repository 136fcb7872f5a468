"""Winograd's algorithm: values and gradients beside the ordinary convolution, and its rounding errors."""

import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf.ops.convolution import lowerings
from encapnet_tf.ops.convolution.winograd import winograd_convolution, winograd_matrices

KINDS = [(5, 1), (7, 2)]


def compared(convolution, x, kernel, cotangent, strides):
    """Return the values of a convolution and its gradients."""
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolution(x, kernel, strides)
    return [y, *tape.gradient(y, [x, kernel], cotangent)]


@pytest.mark.parametrize("map_size", [(8, 8), (7, 14), (5, 1)], ids=str)
@pytest.mark.parametrize(("size", "strides"), KINDS)
def test_values_and_gradients(rng, size, strides, map_size):
    x = tf.constant(rng.normal(size=(2, *map_size, 3)))
    kernel = tf.constant(rng.normal(size=(size, size, 3, 4)))
    cotangent = tf.constant(rng.normal(size=(2, *(-(-n // strides) for n in map_size), 4)))
    ours, expected = (
        compared(convolution, x, kernel, cotangent, strides)
        for convolution in (winograd_convolution, lowerings.native_convolution)
    )
    for mine, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-11)


@pytest.mark.parametrize("size", [4, 5])
def test_matrices_in_one_dimension(rng, size):
    outputs, kernels, inputs = winograd_matrices(size)
    kernel, pixels = rng.normal(size=size), rng.normal(size=size + 3)
    expected = np.correlate(pixels, kernel, "valid")
    np.testing.assert_allclose(outputs @ ((kernels @ kernel) * (inputs @ pixels)), expected, atol=1e-13)


@pytest.mark.parametrize(("size", "strides"), KINDS)
def test_training_step_in_float32(rng, size, strides):
    """What a training step computes, batch unknown: the same within the rounding errors that the docs state."""
    kernel = rng.normal(size=(size, size, 128, 128)) / (size * 128**0.5)
    x, cotangent = rng.normal(size=(2, 8 * strides, 8 * strides, 128)), rng.normal(size=(2, 8, 8, 128))
    signature = [tf.TensorSpec((None, *array.shape[1:])) for array in (x, kernel, cotangent)]
    signature[1] = tf.TensorSpec(kernel.shape)

    @tf.function(input_signature=signature)
    def step(x, kernel, cotangent):
        return compared(lambda *a: en.ops.grouped_conv2d(*a[:2], 1, strides, training=True), x, kernel, cotangent, 0)

    exact = compared(lowerings.native_convolution, *map(tf.constant, (x, kernel, cotangent)), strides)
    assert not [node for node in step.get_concrete_function().graph.get_operations() if node.type == "Conv2D"]
    for mine, other in zip(step(*(a.astype("float32") for a in (x, kernel, cotangent))), exact, strict=True):
        assert 0 < np.abs(mine.numpy() - other).max() / np.abs(other).max() < 2e-5
