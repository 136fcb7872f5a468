"""Compiled parts of a TensorFlow training step: values and gradients of the plain operations; none in inference."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.blocks.batch_norm import BatchNorm
from encapnet_tf.blocks.capsule_activation import CapsuleActivation
from encapnet_tf.ops import acceleration

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own")

GROUPS = 4
# (height, width), group_in, group_out, kernel, strides: each branch of the choice, odd sizes, one and many components
CONVOLUTIONS = [
    ((6, 5), 1, 2, 3, 1),
    ((6, 5), 2, 2, 1, 1),
    ((7, 5), 2, 4, 3, 2),
    ((6, 4), 4, 8, 3, 2),
    ((5, 4), 4, 2, 3, 1),
    ((5, 4), 16, 2, 3, 1),
    ((6, 5), 8, 8, 1, 1),
    ((7, 4), 4, 4, 1, 2),
    ((6, 5), 8, 16, 3, 2),
    ((5, 6), 3, 3, 5, 1),
]
DOUBLINGS = [((4, 3), 2, 1, (8, 6)), ((4, 3), 4, 2, (7, 5)), ((3, 4), 16, 8, (6, 8)), ((4, 3), 4, 4, (4, 3))]


def values_and_gradients(function, tensors, in_graph):
    """The function's value and the gradients of a scalar of it, in a graph (the fast path) or eagerly (the plain)."""

    def run(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            y = function(*tensors)
            scalar = tf.reduce_sum(y * tf.sin(y))
        return (y, *tape.gradient(scalar, tensors))

    run = tf.function(run, autograph=False) if in_graph else run
    return [np.asarray(v) for v in run(*map(tf.constant, tensors))]


def assert_same(function, tensors):
    fast, plain = (values_and_gradients(function, tensors, in_graph) for in_graph in (True, False))
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_allclose(a, b, atol=3e-5 * max(1.0, np.abs(b).max()), rtol=0)


@pytest.mark.parametrize("row", CONVOLUTIONS, ids=str)
def test_grouped_convolution(rng, row):
    size, group_in, group_out, kernel_size, strides = row
    x = rng.normal(size=(3, *size, GROUPS * group_in)).astype("float32")
    kernel = rng.normal(size=(kernel_size, kernel_size, group_in, GROUPS * group_out)).astype("float32")
    assert_same(lambda x, k: en.ops.grouped_conv2d(x, k, GROUPS, strides, training=True), (x, kernel))


@pytest.mark.parametrize("row", DOUBLINGS, ids=str)
def test_transposed_convolution(rng, row):
    size, group_in, group_out, output_size = row
    x = rng.normal(size=(3, *size, GROUPS * group_in)).astype("float32")
    kernel = rng.normal(size=(3, 3, group_in, GROUPS * group_out)).astype("float32")
    convolve = en.ops.grouped_conv2d_transpose
    assert_same(lambda x, k: convolve(x, k, GROUPS, output_size, training=True), (x, kernel))


@pytest.mark.parametrize("strides", [1, 2])
def test_narrow_convolution(rng, strides):
    x, kernel = rng.normal(size=(2, 7, 6, 5)).astype("float32"), rng.normal(size=(3, 3, 5, 1)).astype("float32")
    assert_same(lambda x, k: en.ops.grouped_conv2d(x, k, 1, strides, training=True), (x, kernel))


@pytest.mark.parametrize(("kernel_size", "strides", "size"), [(5, 1, (4, 3)), (3, 2, (4, 5)), (7, 2, (3, 2))])
def test_convolution_by_taps(rng, kernel_size, strides, size):
    x = rng.normal(size=(2, *size, 128)).astype("float32")
    kernel = rng.normal(size=(kernel_size, kernel_size, 128, 130)).astype("float32")
    graph = tf.Graph()
    with graph.as_default():
        en.ops.grouped_conv2d(tf.constant(x), kernel, 1, strides, training=True)
    assert not any(node.type == "Conv2D" for node in graph.get_operations())
    assert_same(lambda x, k: en.ops.grouped_conv2d(x, k, 1, strides, training=True), (x, kernel / 50))


@pytest.mark.parametrize("capsule_dim", [1, 2, 16])
def test_relu_squash(rng, capsule_dim):
    x = rng.normal(size=(2, 3, 4, 32)).astype("float32")
    x[0, 0] = 0.0
    assert_same(lambda x: en.ops.relu_squash(x, capsule_dim, training=True), (x,))


def test_relu_squash_of_a_nan_is_a_nan(rng):
    x = rng.normal(size=(1, 1, 1, 4)).astype("float32")
    x[..., 1] = np.nan
    y, _ = values_and_gradients(lambda x: en.ops.relu_squash(x, 2, training=True), (x,), in_graph=True)
    assert np.isnan(y[..., :2]).any()
    assert np.isfinite(y[..., 2:]).all()


def test_capsule_activation_updates_its_statistics_as_in_eager_mode(rng):
    x = rng.normal(2.0, 3.0, size=(5, 3, 4, 8)).astype("float32")
    weights = []
    for in_graph in (True, False):
        layer = CapsuleActivation(2)
        layer.build(x.shape)
        values_and_gradients(lambda x, layer=layer: layer(x, training=True), (x,), in_graph)
        weights.append(layer.get_weights())
    for fast, plain in zip(*weights, strict=True):
        np.testing.assert_allclose(fast, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(3, 4), (16, 17)])  # on the larger map the normalised map is not kept
def test_capsule_activation(rng, size):
    x = rng.normal(2.0, 3.0, size=(3, *size, 8)).astype("float32")
    gamma, beta = (rng.normal(size=8).astype("float32") for _ in range(2))
    layer = CapsuleActivation(2)
    layer.build(x.shape)
    for variable, value in zip((layer.norm.gamma, layer.norm.beta), (gamma, beta), strict=True):
        variable.assign(value)
    weights = [v.value for v in layer.trainable_variables]

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            scalar = tf.reduce_sum(y * tf.sin(3 * y))
        return [y, *tape.gradient(scalar, [x, *weights])]

    fast, plain = tf.function(step, autograph=False)(tf.constant(x)), step(tf.constant(x))
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_allclose(a, b, atol=3e-5 * max(1.0, np.abs(b).max()))


@pytest.mark.parametrize("kernel_size", [1, 3, 7])
def test_strided_convolution_of_a_large_map_keeps_no_padded_copy(rng, kernel_size):
    x = tf.constant(rng.normal(size=(2, 32, 33, 32)).astype("float32"))
    kernel = tf.constant(rng.normal(size=(kernel_size, kernel_size, 32, 5)).astype("float32"))
    with tf.Graph().as_default() as graph:
        en.ops.grouped_conv2d(tf.zeros(x.shape), tf.zeros(kernel.shape), 1, 2, training=True)
    assert not any("Pad" in node.type for node in graph.get_operations())
    assert_same(lambda x, k: en.ops.grouped_conv2d(x, k, 1, 2, training=True), (x, kernel))


@pytest.mark.parametrize("options", [{"debias": False}, {"solver": "plain"}, {"differentiate_plan": True}], ids=str)
def test_sinkhorn_divergence(rng, options):
    x, y = (rng.normal(size=(6, 3)).astype("float32") for _ in range(2))
    assert_same(lambda x, y: en.ops.sinkhorn_divergence(x, y, 0.5, 6, training=True, **options), (x, y))


def test_batch_norm_is_keras_batch_normalization(rng):
    """Of a map of one pixel too, where an unbiased variance would not exist; with the momentum of Keras."""
    for shape in ((6, 4, 3, 5), (1, 1, 1, 5)):
        x = rng.normal(size=shape).astype("float32")
        ours, theirs = BatchNorm(momentum_warmup=False), keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9)
        for layer in (ours, theirs):
            layer.build(shape)
        a = values_and_gradients(lambda x, layer=ours: layer(x, training=True), (x,), in_graph=True)
        b = values_and_gradients(lambda x, layer=theirs: layer(x, training=True), (x,), in_graph=True)
        for u, v in zip([*a, *ours.get_weights()], [*b, *theirs.get_weights()], strict=True):
            np.testing.assert_allclose(u, v, atol=2e-5)


@pytest.mark.parametrize(
    ("routing", "coefficients"),
    [("master", "own"), pytest.param("master_aide", "cross", marks=pytest.mark.ci), ("master_aide", "both")],
)
def test_type1_layer_with_its_shortcut(rng, routing, coefficients):
    """Every weight's gradient, in a graph and eagerly: the merged kernel, the joint coefficients, the shortcut."""
    layer = en.layers.CapConv2D(4, 4, 3, 2, routing, coefficients, shortcut_convolution=True)
    x = rng.normal(size=(3, 6, 5, 8)).astype("float32")
    layer.build(x.shape)
    variables = [v.value for v in layer.trainable_variables]

    def step(x):
        with tf.GradientTape() as tape:
            y = layer(x, training=True)
            scalar = tf.reduce_sum(y * tf.sin(3 * y))
        return [y, *tape.gradient(scalar, variables)]

    fast, plain = tf.function(step, autograph=False)(x), step(x)
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_allclose(a, b, atol=3e-5 * max(1.0, np.abs(b).max()))


def compiled_functions(graph):
    """Return the names of a graph's functions, nested ones too, that XLA has to compile."""
    library = graph.as_graph_def().library.function
    return [f.signature.name for f in library if f.attr["_XlaMustCompile"].b]


def test_training_step_is_compiled_in_parts_and_inference_is_not(tmp_path):
    inputs = keras.Input((4, 4, 4))
    higher = en.layers.CapConv2D(4, 2, 3, 2)(inputs)
    higher = en.layers.FeedbackAgreement(num_capsules=2)([higher, inputs])
    model = keras.Model(inputs, en.layers.CapFC(3, 4)(higher))
    graphs = {
        training: tf.function(lambda x, t=training: model(x, training=t)).get_concrete_function(
            tf.TensorSpec((None, 4, 4, 4))
        )
        for training in (True, False)
    }
    assert compiled_functions(graphs[True].graph)
    assert not compiled_functions(graphs[False].graph)
    model.export(tmp_path / "saved", verbose=False)
    saved = tf.saved_model.load(tmp_path / "saved")
    assert not compiled_functions(saved.signatures["serving_default"].graph)
    assert b"_XlaMustCompile" not in (tmp_path / "saved" / "saved_model.pb").read_bytes()


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_only_float32_in_a_training_graph_is_accelerated(dtype):
    with tf.Graph().as_default():
        assert acceleration.accelerates(True, tf.zeros((2, 3, 3, 4)))
        assert not acceleration.accelerates(True, tf.zeros((2, 3, 3, 4), dtype))
        assert not acceleration.accelerates(False, tf.zeros((2, 3, 3, 4)))
    assert not acceleration.accelerates(True, tf.zeros((2, 3, 3, 4)))  # eagerly: compiling would not pay


def test_kernels_that_do_not_fit_the_transposed_convolution_raise():
    x, kernel = np.zeros((1, 4, 4, 8), "float32"), np.zeros((3, 3, 2, 8), "float32")
    for bad_kernel, size in ((np.zeros((5, 5, 2, 8), "float32"), (4, 4)), (kernel, (9, 8)), (kernel, (3, 4))):
        with pytest.raises(ValueError, match="3x3 kernel"):
            en.ops.grouped_conv2d_transpose(x, bad_kernel, 4, size)
