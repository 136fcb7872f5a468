"""The grouped convolution: every lowering against plain NumPy, the others, and the dense formulation's gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf.ops.convolution import choice, lowerings
from tests.core.ops import numpy_reference

GROUPS = 3
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-2}

LOWERINGS = {
    "public": lambda x, kernel, strides: en.ops.grouped_conv2d(x, kernel, GROUPS, strides),
    "public, training": lambda x, kernel, strides: en.ops.grouped_conv2d(x, kernel, GROUPS, strides, training=True),
    "block diagonal": lambda x, kernel, strides: lowerings.block_diagonal_convolution(x, kernel, GROUPS, strides),
    "merged groups": lambda x, kernel, strides: lowerings.multi_group_convolutions(x, kernel, GROUPS, strides, 4),
    "depthwise": lambda x, kernel, strides: lowerings.depthwise_convolution(x, kernel, GROUPS, strides),
    "products": lambda x, kernel, strides: lowerings.grouped_tap_convolution(
        x, kernel, GROUPS, strides, lowerings.multiply_add
    ),
    "matmuls": lambda x, kernel, strides: lowerings.grouped_tap_convolution(
        x, kernel, GROUPS, strides, lowerings.matmul_per_group
    ),
}


def inputs(rng, kernel_size, dim_in, dim_out, shape=(2, 5, 4)):
    x = rng.normal(size=(*shape, GROUPS * dim_in))
    scale = (kernel_size**2 * dim_in) ** -0.5
    kernel = rng.normal(size=(kernel_size, kernel_size, dim_in, GROUPS * dim_out)) * scale
    return x, kernel


def expected_output(x, kernel, strides):
    return numpy_reference.convolve(x, np.transpose(kernel, (3, 2, 0, 1)), 0.0, GROUPS, strides)


DIMS = [(1, 2), (2, 2), (2, 4), (4, 4), (8, 8), (8, 16), (16, 16), (5, 3)]


@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_values(rng, kernel_size, strides, dims):
    dtype = list(TOLERANCE)[(kernel_size // 2 + strides + DIMS.index(dims)) % len(TOLERANCE)]  # in turn
    x, kernel = (values.astype(dtype) for values in inputs(rng, kernel_size, *dims))
    expected = expected_output(x, kernel, strides)
    for name, lowering in LOWERINGS.items():
        y = lowering(tf.constant(x), tf.constant(kernel), strides)
        assert y.dtype == dtype, name
        assert y.shape == (2, -(-5 // strides), -(-4 // strides), GROUPS * dims[1]), name
        np.testing.assert_allclose(y, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=name)


@pytest.mark.parametrize(("rows", "columns"), [(1, 3), (5, 1)])
def test_kernels_need_not_be_square(rng, rows, columns):
    x = rng.normal(size=(2, 5, 4, 6))
    kernel = rng.normal(size=(rows, columns, 2, 6))
    np.testing.assert_allclose(en.ops.grouped_conv2d(x, kernel, GROUPS), expected_output(x, kernel, 1), atol=1e-12)


def test_one_group_is_a_dense_convolution(rng):
    x, kernel = rng.normal(size=(2, 6, 5, 4)), rng.normal(size=(3, 3, 4, 6))
    expected = numpy_reference.convolve(x, np.transpose(kernel, (3, 2, 0, 1)), 0.0, 1, 2)
    np.testing.assert_allclose(en.ops.grouped_conv2d(x, kernel, 1, 2), expected, atol=1e-12)


def dense_kernel(kernel):
    """(kh, kw, dim_in, groups * dim_out) -> the same, zero between groups, as a dense kernel; scattered by hand."""
    height, width, dim_in, filters = kernel.shape
    dim_out = filters // GROUPS
    dense = np.zeros((height, width, GROUPS * dim_in, filters))
    for g in range(GROUPS):
        own = slice(g * dim_out, (g + 1) * dim_out)
        dense[:, :, g * dim_in : (g + 1) * dim_in, own] = kernel[..., own]
    return dense


def dense_gradients(x, kernel, cotangent, strides):
    """Gradients through TensorFlow's dense convolution, the kernel's taken back from the blocks."""
    pad = kernel.shape[0] // 2
    x, dense = tf.constant(x), tf.constant(dense_kernel(kernel))
    with tf.GradientTape() as tape:
        tape.watch([x, dense])
        y = tf.nn.conv2d(x, dense, strides, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
        loss = tf.reduce_sum(y * cotangent)
    of_x, of_dense = tape.gradient(loss, [x, dense])
    dim_in, dim_out = kernel.shape[2], kernel.shape[3] // GROUPS
    blocks = [of_dense[:, :, g * dim_in : (g + 1) * dim_in, g * dim_out : (g + 1) * dim_out] for g in range(GROUPS)]
    return of_x, tf.concat(blocks, axis=-1)


@pytest.mark.parametrize("dims", [(1, 2), (4, 4), (8, 16)])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_gradients(rng, kernel_size, strides, dims):
    x, kernel = inputs(rng, kernel_size, *dims)
    cotangent = rng.normal(size=expected_output(x, kernel, strides).shape)
    expected = dense_gradients(x, kernel, cotangent, strides)
    for name, lowering in LOWERINGS.items():
        ours = tf.constant(x), tf.constant(kernel)
        with tf.GradientTape() as tape:
            tape.watch(ours)
            loss = tf.reduce_sum(lowering(*ours, strides) * cotangent)
        for gradient, reference in zip(tape.gradient(loss, ours), expected, strict=True):
            np.testing.assert_allclose(gradient, reference, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("dims", [(2, 2), (8, 8)])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_unknown_sizes(rng, kernel_size, dims):
    """Batch, height and width unknown while tracing: one graph serves every size."""
    _, kernel = inputs(rng, kernel_size, *dims)
    traced = tf.function(
        lambda x: en.ops.grouped_conv2d(x, kernel, GROUPS, 2),
        input_signature=[tf.TensorSpec([None, None, None, GROUPS * dims[0]], tf.float64)],
    )
    for shape in ((1, 4, 6), (3, 7, 5)):
        x, _ = inputs(rng, kernel_size, *dims, shape)
        np.testing.assert_allclose(traced(x), expected_output(x, kernel, 2), atol=1e-11)


def test_layer_with_unknown_sizes(rng):
    layer = en.layers.GroupedConv2D(6, 3, strides=2, groups=3)
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    assert model.output_shape == (None, None, None, 6)
    assert layer.compute_output_shape((None, 7, None, 3)) == (None, 4, None, 6)
    x = rng.normal(size=(2, 7, 4, 3)).astype("float32")
    np.testing.assert_allclose(model(x), expected_output(x, np.asarray(layer.kernel), 2), atol=1e-5)


def test_layer_adds_its_bias(rng):
    layer = en.layers.GroupedConv2D(4, 1, groups=2, bias_initializer="ones")
    np.testing.assert_allclose(layer(np.zeros((1, 2, 3, 4))), np.ones((1, 2, 3, 4)))


@pytest.mark.parametrize(
    ("x_shape", "kernel_shape", "groups", "message"),
    [
        ((1, 5, 8), (3, 3, 2, 8), 4, "batch, height, width"),
        ((1, 5, 5, 8), (3, 3, 8), 1, "batch, height, width"),
        ((1, 5, 5, 9), (3, 3, 2, 8), 4, "groups must divide"),
        ((1, 5, 5, 8), (3, 3, 2, 9), 4, "groups must divide"),
        ((1, 5, 5, 8), (3, 3, 8, 8), 4, r"kernel.shape\[2\]"),
        ((1, 5, 5, 8), (2, 3, 2, 8), 4, "odd"),
        ((1, 5, 5, 8), (3, 4, 2, 8), 4, "odd"),
    ],
)
def test_wrong_tensors_raise(x_shape, kernel_shape, groups, message):
    with pytest.raises(ValueError, match=message):
        en.ops.grouped_conv2d(np.ones(x_shape), np.ones(kernel_shape), groups)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filters": 0}, "filters"),
        ({"filters": 2.0}, "filters"),
        ({"kernel_size": 2}, "kernel_size"),
        ({"strides": 0}, "strides"),
        ({"groups": -1}, "groups"),
        ({"filters": 6, "groups": 4}, "groups"),
    ],
)
def test_wrong_arguments_raise(changes, message):
    with pytest.raises(ValueError, match=message):
        en.layers.GroupedConv2D(**{"filters": 8, **changes})


@pytest.mark.parametrize("shape", [(1, 5, 5, 6), (1, 5, 8), (1, 5, 5, None)])
def test_wrong_input_shape_raises(shape):
    with pytest.raises(ValueError, match=r"groups|feature map"):
        en.layers.GroupedConv2D(8, groups=4).build(shape)


def test_other_channels_than_built_for_raise():
    layer = en.layers.GroupedConv2D(8, groups=4)
    layer.build((None, 5, 5, 8))
    with pytest.raises(ValueError, match="axis -1"):
        layer(np.ones((1, 5, 5, 4)))


CHOICES = [
    # Of the dense table.
    ({"channels_out": 2}, choice._narrow),
    ({"channels_out": 2, "accelerated": False}, choice._native),
    ({"size": 5, "channels_in": 128, "channels_out": 128, "positions": 36}, choice._tap_products_in_training),
    ({"size": 5, "channels_in": 128, "channels_out": 128, "positions": 37}, choice._winograd),
    ({"size": 5, "channels_in": 128, "channels_out": 128, "positions": 256}, choice._winograd),
    (
        {"size": 5, "channels_in": 128, "channels_out": 128, "positions": 257},
        choice._dense_convolution_with_own_gradient,
    ),
    (
        {"size": 5, "channels_in": 128, "channels_out": 128, "used_share_of_tiles": 0.7},
        choice._dense_convolution_with_own_gradient,
    ),
    ({"size": 5, "channels_in": 128, "channels_out": 127}, choice._dense_convolution_with_own_gradient),
    ({"size": 7, "strides": 2, "channels_in": 64, "channels_out": 128}, choice._winograd),
    ({"size": 7, "strides": 2, "channels_in": 63, "channels_out": 128}, choice._native),
    ({"size": 7, "channels_in": 128, "channels_out": 128}, choice._dense_convolution_with_own_gradient),
    (
        {"size": 5, "channels_in": 127, "channels_out": 128, "positions": 36},
        choice._dense_convolution_with_own_gradient,
    ),
    ({"strides": 2, "image_entries": 2**15}, choice._strided_with_recomputed_padding),
    ({"strides": 2, "image_entries": 2**15 - 1}, choice._native),
    # Of the grouped table.
    ({"groups": 4, "channels_in": 15, "channels_out": 99, "device": "gpu"}, choice._dense_of_512_channels),
    (
        {"groups": 4, "channels_in": 16, "channels_out": 16, "device": "gpu", "prefers_native": True},
        choice._native,
    ),
    ({"groups": 4, "prefers_native": True}, choice._dense_of_16_channels),
    ({"groups": 4, "prefers_native": True, "device": "unknown"}, choice._native),
    ({"groups": 4, "runtime": "litert"}, choice._grouped_convolution_of_litert),
    ({"groups": 4, "size": 1, "strides": 2}, choice._subsample_first),
    ({"groups": 4, "size": 1, "channels_in": 8, "channels_out": 8}, choice._matmul_per_group),
    ({"groups": 4, "size": 1, "channels_in": 7, "channels_out": 9}, choice._multiply_add_in_one_pass),
    ({"groups": 4, "size": 1, "channels_in": 7, "channels_out": 9, "accelerated": False}, choice._block_diagonal),
    ({"groups": 4, "channels_in": 8, "channels_out": 1}, choice._depthwise),
    ({"groups": 4, "channels_in": 8, "channels_out": 8}, choice._multiply_add_in_one_pass),
    ({"groups": 4, "channels_in": 8, "channels_out": 9}, choice._matmul_per_tap),
    ({"groups": 4, "channels_in": 8, "channels_out": 9, "accelerated": False}, choice._depthwise),
    (
        {"groups": 4, "channels_in": 2, "accelerated": False, "training": False},
        choice._dense_of_16_channels,
    ),
    ({"groups": 4, "channels_in": 1, "accelerated": False, "training": False}, choice._depthwise),
    ({"groups": 4, "size": 5}, choice._depthwise),
]


@pytest.mark.parametrize(("properties", "lowering"), CHOICES)
def test_choice_of_lowering(properties, lowering):
    """Each row of the tables, on both sides of its thresholds, in the graph of a training step."""
    ordinary = {"size": 3, "strides": 1, "groups": 1, "channels_in": 4, "channels_out": 4, "positions": 64}
    ordinary |= {
        "used_share_of_tiles": 1.0,
        "image_entries": 256,
        "training": True,
        "accelerated": True,
        "runtime": None,
        "device": "cpu",
        "prefers_native": False,
    }
    convolution = choice.Convolution(**ordinary | properties)
    table = choice.DENSE if convolution.groups == 1 else choice.GROUPED
    assert next(row.lowering for row in table if row.condition(convolution)) is lowering
