"""Dense convolution by one matrix product per tap: values, gradients, and the shapes it is chosen for."""

import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf.ops.acceleration import portable
from encapnet_tf.ops.convolution import tap_products
from tests.core.ops import numpy_reference

SIZES = [(4, 4), (4, 3), (1, 2), (7, 5)]


@pytest.mark.parametrize("map_size", SIZES, ids=str)
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 5, 9])
def test_values_and_gradients(rng, size, strides, map_size):
    x, kernel = rng.normal(size=(2, *map_size, 3)), rng.normal(size=(size, size, 3, 4))
    expected = numpy_reference.convolve(x, np.transpose(kernel, (3, 2, 0, 1)), 0.0, 1, strides)
    x, kernel = tf.constant(x), tf.constant(kernel)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, kernel])
        y = tap_products.tap_convolution(x, kernel, strides)
        value = tf.reduce_sum(y * tf.sin(y))
        padded = tf.pad(x, [[0, 0], [size // 2] * 2, [size // 2] * 2, [0, 0]])
        y_dense = tf.nn.conv2d(padded, kernel, strides, "VALID")
        value_dense = tf.reduce_sum(y_dense * tf.sin(y_dense))
    np.testing.assert_allclose(y, expected, atol=1e-12)
    for ours, dense in zip(tape.gradient(value, [x, kernel]), tape.gradient(value_dense, [x, kernel]), strict=True):
        np.testing.assert_allclose(ours, dense, atol=1e-11)


def test_taps_that_meet_no_pixel_are_left_out():
    assert len(tap_products.taps((4, 4), 5, 1)) == 25
    assert len(tap_products.taps((2, 1), 5, 1)) == 3
    assert (
        sum(part.shape[1] * part.shape[2] for part in tap_products.input_patches(np.zeros((1, 4, 4, 1)), 5, 1))
        == 14 * 14
    )


@pytest.mark.parametrize(("size", "strides", "map_size", "chosen"), [
    (5, 1, 4, True), (5, 2, 4, False), (3, 1, 4, False), (5, 1, 7, False),
])  # fmt: skip
def test_inference_on_a_small_map(size, strides, map_size, chosen):
    x, kernel = tf.zeros((1, map_size, map_size, 128)), tf.zeros((size, size, 128, 128))

    @tf.function
    def infer():
        return en.ops.grouped_conv2d(x, kernel, 1, strides)

    kinds = {node.type for node in infer.get_concrete_function().graph.get_operations()}
    assert ("Conv2D" not in kinds) == chosen
    with portable():
        exported = tf.function(lambda: en.ops.grouped_conv2d(x, kernel, 1, strides)).get_concrete_function()
    assert "Conv2D" in {node.type for node in exported.graph.get_operations()}
