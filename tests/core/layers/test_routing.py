"""Routing layers: the figures of the references, votes in pieces, passes, padding, empty windows and errors."""

import importlib
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf import layers
from tests.core.family import FILES, assert_equal, figures, outputs_and_gradients

ATTENTION = importlib.import_module("encapnet_tf.ops.routing.attention")


def compare(layer, inputs, weights, *, outputs, cotangents, gradients):
    """Compare a layer with figures of the reference: outputs within 1e-5, gradients within 1e-4.

    Args:
        layer: built.
        inputs: arrays.
        weights: pairs of a variable and its array.
        outputs, cotangents: arrays.
        gradients: arrays, of the inputs and of the weights.
    """
    for variable, array in weights:
        variable.assign(array)

    def call(*tensors):
        return layer(tensors[0] if len(tensors) == 1 else list(tensors), training=True)

    ours, our_gradients = outputs_and_gradients(call, inputs, cotangents, [v for v, _ in weights])
    assert_equal(ours, outputs, 1e-5)
    if gradients is not None:
        assert_equal(our_gradients, gradients, 1e-4)


@pytest.fixture(params=["votes at once", "votes in pieces"])
def pieces(request, monkeypatch):
    """Return a function that sets the votes of a piece; the test runs with all votes in memory, too."""

    def limit(votes):
        if request.param == "votes in pieces":
            monkeypatch.setattr(ATTENTION, "_VOTES_PER_PIECE", votes)

    return limit


def test_every_file_is_read():
    tensors = {name for name in FILES if name.endswith(("_squash", "_length_mask"))}  # in test_capsule_tensors.py
    fully = {"sabour_digit_caps", "efficient_fc_caps", "deepcaps_conv3d_routing"}
    inverted = {f"inverted_attention_{kind}_{pose}" for kind in ("fc", "conv") for pose in ("vector", "matrix")}
    networks = {name for name in FILES if name.endswith("_net") or "_net_" in name}  # in test_family_golden.py
    assert FILES - tensors - networks == fully | inverted | {f"self_routing_{name}" for name in SELF_ROUTING}


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_dynamic_routing_of_sabour(pieces, iterations):
    """A matrix for each capsule of a list, without a bias; the reference has (output, input, component out, in)."""
    pieces(100)  # of 360
    file = figures("sabour_digit_caps")
    layer = layers.DynamicRouting(5, 6, iterations=iterations, use_bias=False, epsilon=1e-7)
    layer.build(file["x"].shape)
    assert len(layer.weights) == 1
    gradients = [file["grad_x_3"], file["g_3/W"].transpose(1, 3, 0, 2)] if iterations == 3 else None
    compare(
        layer,
        [file["x"]],
        [(layer.kernel, file["w/W"].transpose(1, 3, 0, 2))],
        outputs=[file[f"y_{iterations}"]],
        cotangents=[file["cot_y_3"]],
        gradients=gradients,
    )


def test_number_of_matrices_of_dynamic_routing():
    """By default 32 on a map and one for each capsule of a list; the number given otherwise."""
    for options, shape, expected in (
        ({}, (None, 3, 2, 64), (32, 2)),
        ({}, (None, 12, 4), (12, 4)),
        ({"num_input_capsules": 4}, (None, 3, 2, 64), (4, 16)),
        ({"num_input_capsules": 4}, (None, 12, 4), (4, 4)),
    ):
        layer = layers.DynamicRouting(5, 6, **options)
        layer.build(shape)
        assert tuple(layer.kernel.shape) == (*expected, 5, 6)
        assert tuple(layer.bias.shape) == (expected[0], 5, 6)
        assert layer.get_config()["num_input_capsules"] == options.get("num_input_capsules")
    for shape in ((None, 3, 2, 10), (None, None, 4)):
        with pytest.raises(ValueError, match="num_input_capsules=None"):
            layers.DynamicRouting(5, 6).build(shape)


def test_self_attention_routing(pieces):
    pieces(100)  # of 240
    file = figures("efficient_fc_caps")
    layer = layers.SelfAttentionRouting(5, 8)
    layer.build(file["x"].shape)
    w, b, gw, gb = (file[name] for name in ("w/W", "w/b", "g/W", "g/b"))
    compare(
        layer,
        [file["x"]],
        [(layer.kernel, w.transpose(1, 2, 0, 3)), (layer.bias, b[..., 0].T)],
        outputs=[file["y"]],
        cotangents=[file["cot_y"]],
        gradients=[file["grad_x"], gw.transpose(1, 2, 0, 3), gb[..., 0].T],
    )


def compare_inverted_attention(layer, file, iterations, convert_map, x):
    """Compare a layer of inverted attention; the kernel of matrix poses has output capsules last in the reference."""
    layer.build(x.shape)
    last = file["w/w"].ndim - 1
    order = [*range(last - 1), last, last - 1] if layer.pose == "matrix" else range(last + 1)

    def kernel(array):
        return array.transpose(order).reshape(layer.kernel.shape)

    gradients = None
    if iterations == 3:
        gradients = [convert_map(file["grad_x_3"]), kernel(file["g_3/w"])]
        gradients += [file[f"g_3/nonlinear_act.{name}"] for name in ("weight", "bias")]
    compare(
        layer,
        [x],
        [
            (layer.kernel, kernel(file["w/w"])),
            (layer.gamma, file["w/nonlinear_act.weight"]),
            (layer.beta, file["w/nonlinear_act.bias"]),
        ],
        outputs=[convert_map(file[f"y_{iterations}"])],
        cotangents=[convert_map(file["cot_y_3"])],
        gradients=gradients,
    )


@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("pose", ["vector", "matrix"])
def test_inverted_attention_routing(pieces, pose, iterations):
    pieces(100)  # of 240 and 432
    file = figures(f"inverted_attention_fc_{pose}")
    layer = layers.InvertedAttentionRouting(4, file["y_1"].shape[-1], iterations, pose)
    compare_inverted_attention(layer, file, iterations, np.asarray, file["x_flat"])


@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("pose", ["vector", "matrix"])
def test_inverted_attention_conv(pieces, pose, iterations):
    """The reference has maps (batch, capsule, height, width, component)."""
    pieces(1000)  # of 1944 and 2592
    file = figures(f"inverted_attention_conv_{pose}")

    def convert_map(array):
        array = array.transpose(0, 2, 3, 1, 4)
        return array.reshape(*array.shape[:3], -1)

    options = {"num_input_capsules": 3, "kernel_size": 3, "strides": 2, "padding": "valid"}
    layer = layers.InvertedAttentionConv2D(4, file["y_1"].shape[-1], iterations=iterations, pose=pose, **options)
    compare_inverted_attention(layer, file, iterations, convert_map, convert_map(file["x"]))


SELF_ROUTING = ("conv_stride1", "conv_stride2", "fc", "fc_pose")


@pytest.mark.parametrize("name", SELF_ROUTING)
def test_self_routing(pieces, name):
    """The reference has votes (input, output * component, input component) and routing (input, output, component)."""
    pieces({"conv_stride1": 6000, "conv_stride2": 2000}.get(name, 100))  # of 16200, 5832, 240 and 1440
    file = figures(f"self_routing_{name}")
    outputs = file["a_out_nhwc"].shape[-1]
    has_poses = "pose_out_nhwc" in file
    dim = file["pose_out_nhwc"].shape[-1] // outputs if has_poses else None
    padding = "same" if file["padding"] else "valid"
    layer = layers.SelfRouting2D(outputs, dim, int(file["kernel_size"]), int(file["stride"]), padding)
    inputs = [file["a_nhwc"], file["pose_nhwc"]]
    layer.build([x.shape for x in inputs])

    def weights(prefix):
        kernels = [file[f"{prefix}/W2"].transpose(0, 2, 1), file[f"{prefix}/b2"][0, 0]]
        if has_poses:
            kernel = file[f"{prefix}/W1"]
            kernels.append(kernel.reshape(len(kernel), outputs, dim, -1).transpose(0, 3, 1, 2))
        return kernels

    variables = [layer.routing_kernel, layer.bias] + ([layer.kernel] if has_poses else [])
    results = ["a_out_nhwc"] + (["pose_out_nhwc"] if has_poses else [])
    compare(
        layer,
        inputs,
        list(zip(variables, weights("w"), strict=True)),
        outputs=[file[result] for result in results],
        cotangents=[file[f"cot_{result}"] for result in results],
        gradients=[file["grad_a_nhwc"], file["grad_pose_nhwc"], *weights("g")],
    )


@pytest.mark.parametrize(
    ("result", "strides", "padding"), [("y_1", 1, "same"), ("y_3", 1, "same"), ("y_valid_stride2_3", 2, "valid")]
)
def test_conv_routing(result, strides, padding):
    """The reference has maps (batch, height, width, capsule, component), and a 3-D kernel of depth 1."""
    file = figures("deepcaps_conv3d_routing")

    def merged(array):
        return array.reshape(*array.shape[:3], -1)

    x, y = merged(file["x"]), merged(file[result])
    layer = layers.ConvRouting3D(2, 5, 3, 3, strides, padding, iterations=int(result[-1]))
    layer.build(x.shape)

    def weights(prefix):
        return [file[f"{prefix}/W"][:, :, :, 0].transpose(1, 2, 0, 3), file[f"{prefix}/b"][..., 0, 0]]

    compare(
        layer,
        [x],
        list(zip([layer.kernel, layer.bias], weights("w"), strict=True)),
        outputs=[y],
        cotangents=[merged(file["cot_y"]) if result == "y_3" else np.ones_like(y)],
        gradients=[merged(file["grad_x_3"]), *weights("g_3")] if result == "y_3" else None,
    )


def on_inputs(rng, *shapes):
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def test_passes_continue_from_a_previous_output(rng):
    """Three calls of one pass are one call of three: what concurrent routing is made of."""
    for kind, options, shape in (
        (layers.InvertedAttentionRouting, {}, (2, 6, 5)),
        (layers.InvertedAttentionConv2D, {"num_input_capsules": 2, "strides": 2}, (2, 5, 4, 6)),
    ):
        (x,) = on_inputs(rng, shape)
        once, thrice = kind(3, 4, iterations=1, **options), kind(3, 4, iterations=3, **options)
        expected = thrice(x)
        once.build(shape)
        once.set_weights(thrice.get_weights())
        previous = once(x)
        assert np.abs(previous - expected).max() > 1e-3
        for _ in range(2):
            previous = once(x, previous=previous)
        np.testing.assert_allclose(previous, expected, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [3, (2, 3)])
def test_same_padding_is_half_a_kernel_on_both_sides(rng, kernel_size):
    height, width = (kernel_size,) * 2 if kernel_size == 3 else kernel_size
    x, a = on_inputs(rng, (2, 6, 5, 6), (2, 6, 5, 2))
    around = [(0, 0), (height // 2,) * 2, (width // 2,) * 2, (0, 0)]
    options = {"kernel_size": kernel_size, "strides": 2}
    same, valid = (layers.InvertedAttentionConv2D(3, 4, 2, **options, padding=p) for p in ("same", "valid"))
    valid(np.pad(x, around))
    same.build(x.shape)
    same.set_weights(valid.get_weights())
    np.testing.assert_allclose(same(x), valid(np.pad(x, around)), atol=1e-6)
    same, valid = (layers.SelfRouting2D(3, 4, **options, padding=p) for p in ("same", "valid"))
    inputs, padded = [np.abs(a), x], [np.pad(np.abs(a), around), np.pad(x, around)]
    valid(padded)
    same.build([x.shape for x in inputs])
    same.set_weights(valid.get_weights())
    for ours, expected in zip(same(inputs), valid(padded), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_self_routing_of_an_empty_window_is_zero(rng):
    """No capsule is active in the left half: finite gradients too."""
    a, poses = on_inputs(rng, (1, 3, 6, 2), (1, 3, 6, 8))
    a = np.abs(a) * (np.arange(6) >= 3)[:, None]
    layer = layers.SelfRouting2D(3, 4)
    (activations, new_poses), gradients = outputs_and_gradients(
        lambda *x: layer(list(x)), [a, poses], [np.ones((1, 3, 6, 3)), np.ones((1, 3, 6, 12))]
    )
    np.testing.assert_array_equal(activations[:, :, :2], 0)
    np.testing.assert_array_equal(new_poses[:, :, :2], 0)
    np.testing.assert_allclose(np.sum(activations[:, :, 2:], axis=-1), 1, atol=1e-6)
    assert all(np.isfinite(g).all() for g in gradients)


def test_maps_of_any_size(rng):
    """One model for maps of unknown height and width."""
    for kind, channels in ((layers.InvertedAttentionConv2D, 6), (layers.ConvRouting3D, 6)):
        layer = kind(3, 4, 2, strides=2)
        inputs = keras.Input((None, None, channels))
        model = keras.Model(inputs, layer(inputs))
        assert model.output_shape == (None, None, None, 12)
        (x,) = on_inputs(rng, (2, 5, 4, channels))
        copy = kind.from_config(layer.get_config())
        copy.build(x.shape)
        copy.set_weights(layer.get_weights())
        np.testing.assert_allclose(model(x), copy(x), atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (layers.InvertedAttentionConv2D(4, 9, 4, iterations=2, pose="matrix"), [(2, 6, 6, 36)]),
        (layers.SelfRouting2D(4, 9), [(2, 6, 6, 4), (2, 6, 6, 36)]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_votes_are_recomputed_in_pieces(monkeypatch, layer, shapes):
    """No tensor of the graph, forward or gradient, is larger than a piece's votes or all coefficients."""
    votes = 2 * 36 * 36 * 4 * 9  # batch, positions, input capsules, output capsules, components
    monkeypatch.setattr(ATTENTION, "_VOTES_PER_PIECE", votes / 2 / 9)

    @tf.function
    def step(*x):
        with tf.GradientTape() as tape:
            outputs = layer(x[0] if len(x) == 1 else list(x), training=True)
            loss = sum(tf.reduce_sum(y**3) for y in tf.nest.flatten(outputs))
        return tape.gradient(loss, [v.value for v in layer.trainable_weights])

    layer.build(shapes[0] if len(shapes) == 1 else shapes)
    graph = step.get_concrete_function(*map(tf.TensorSpec, shapes)).graph
    sizes = [math.prod(t.shape) for op in graph.get_operations() for t in op.outputs if t.shape.is_fully_defined()]
    assert votes / 18 < max(sizes) <= votes / 4


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: layers.SelfAttentionRouting(3, 4), (2, 3, 3, 8), "FlattenCapsules"),
        (lambda: layers.InvertedAttentionRouting(3, 4), (2, 3, 3, 8), "FlattenCapsules"),
        (lambda: layers.InvertedAttentionRouting(3, 5, pose="matrix"), (2, 3, 5), "capsule_dim=5"),
        (lambda: layers.InvertedAttentionRouting(3, 4, pose="matrix"), (2, 3, 9), "9 components in"),
        (lambda: layers.InvertedAttentionRouting(3, 4, pose="quaternion"), (2, 3, 4), "pose must be"),
        (lambda: layers.InvertedAttentionConv2D(3, 4, 3), (2, 3, 3, 8), "3 input capsules"),
        (lambda: layers.InvertedAttentionConv2D(3, 4, 2, 4, padding="valid"), (2, 3, 5, 8), r"kernel's size \(4, 4\)"),
        (lambda: layers.ConvRouting3D(3, 4, 3), (2, 3, 3, 8), "3 input capsules"),
        (lambda: layers.ConvRouting3D(3, 4, 2, 4, padding="valid"), (2, 3, 5, 8), r"kernel's size \(4, 4\)"),
        (lambda: layers.ConvRouting3D(3, 4, kernel_size=(3, 3, 3)), (2, 3, 3, 32), "pair of integers"),
        (lambda: layers.SelfRouting2D(3, 4), (2, 3, 3, 8), "list of activations"),
    ],
)
def test_wrong_shapes_raise(make, shape, message):
    with pytest.raises(ValueError, match=message):
        make().build(shape)


@pytest.mark.parametrize(
    ("activations", "poses", "message"),
    [
        ((2, 3, 3, 3), (2, 3, 3, 8), "3 input capsules"),
        ((2, 4, 3, 2), (2, 3, 3, 8), "list of activations"),
        ((2, 2, 3, 2), (2, 2, 3, 8), r"kernel's size \(3, 3\)"),
    ],
)
def test_wrong_shapes_of_self_routing_raise(activations, poses, message):
    with pytest.raises(ValueError, match=message):
        en.layers.SelfRouting2D(3, 4, padding="valid").build([activations, poses])
