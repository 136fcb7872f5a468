"""State dicts of the release: networks predict as the NumPy reference does, and errors leave the weights unchanged."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.interop import load_official_state_dict, load_reference_weights
from tests.core.ops import numpy_reference
from tests.core.state_dicts import StateDict, network_state

CAPSULES = 4


def small_network(routing="master", coefficients="cross", classes=3, **changes):
    options = {"depths": (2, 1), "capsule_dims": (2, 4), "strides": (1, 2), **changes}
    return en.models.EncapNet(
        (12, 8, 3), classes, num_capsules=CAPSULES, routing=routing, coefficients=coefficients, **options
    )


def small_state(rng, routing="master", classes=3, depths=(2, 1), dims=(2, 4), last_map=(6, 4)):
    return network_state(rng, 3, classes, CAPSULES, depths, dims, last_map, routing)


@pytest.mark.parametrize(
    ("routing", "coefficients", "classes"),
    [("master", "cross", 1), ("master_aide", "cross", 3), ("master_aide", "own", 10)],
)
def test_network_predicts_as_the_reference(rng, routing, coefficients, classes):
    model = small_network(routing, coefficients, classes)
    state = small_state(rng, routing, classes)
    x = np.float32(rng.normal(size=(3, 12, 8, 3)) * np.reshape([0.2, 1, 5], (3, 1, 1, 1)))
    load_official_state_dict(model, state)
    expected = numpy_reference.network(x, state, CAPSULES, (1, 2), coefficients)
    assert expected.std(axis=0).mean() > 0.01, "the reference's scores differ between images"
    np.testing.assert_allclose(model(x, training=False), expected, atol=1e-4)


def test_three_modules_and_odd_sizes(rng):
    options = {"depths": (1, 0, 3), "capsule_dims": (1, 2, 3), "strides": (2, 2, 1)}
    model = en.models.EncapNet((11, 7, 2), 4, num_capsules=3, coefficients="cross", **options)
    state = network_state(rng, 2, 4, 3, options["depths"], options["capsule_dims"], (3, 2), "master_aide")
    x = rng.normal(size=(2, 11, 7, 2)).astype("float32")
    load_official_state_dict(model, state)
    np.testing.assert_allclose(
        model(x, training=False), numpy_reference.network(x, state, 3, options["strides"]), atol=1e-4
    )


def test_every_weight_is_loaded(rng):
    model = small_network("master_aide")
    before = model.get_weights()
    load_official_state_dict(model, small_state(rng, "master_aide"))
    untouched = [
        weight.path for weight, old in zip(model.weights, before, strict=True) if np.any(np.asarray(weight) == old)
    ]
    assert not untouched


def missing(state):
    del state["module1.sub_conv.block.4.conv.0.bias"]


def unused(state):
    state["module3.main_conv.block.1.bias"] = np.zeros(4)


def misshapen(state):
    state["final_cls.weight"] = state["final_cls.weight"][:, :-1]


def wrong_rank(state):
    state["module0.0.weight"] = state["module0.0.weight"].reshape(-1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing, "module1.sub_conv.block.4.conv.0.bias"),
        (unused, "module3.main_conv.block.1.bias"),
        (misshapen, "final_cls.weight"),
        (wrong_rank, "module0.0.weight"),
    ],
)
def test_bad_state_raises_and_changes_nothing(rng, spoil, message):
    model = small_network()
    before = model.get_weights()
    state = small_state(rng)
    spoil(state)
    with pytest.raises(ValueError, match=message):
        load_official_state_dict(model, state)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("changes", [{"routing": "master_aide"}, {"depths": (2, 2)}, {"skip": "none"}])
def test_state_of_another_network_raises(rng, changes):
    model = small_network(**changes)
    with pytest.raises(ValueError, match=r"Missing|Not used"):
        load_official_state_dict(model, small_state(rng))


def test_many_wrong_names_are_abridged(rng):
    with pytest.raises(ValueError, match=r"and \d+ more"):
        load_official_state_dict(small_network(), {})


def test_num_batches_tracked_is_ignored(rng):
    state = small_state(rng)
    assert any(name.endswith("num_batches_tracked") for name in state)
    load_official_state_dict(small_network(), state)
    load_official_state_dict(small_network(), {k: v for k, v in state.items() if "num_batches" not in k})


@pytest.mark.parametrize(
    "layer",
    [
        en.layers.CapFC(2, 4),
        en.layers.GroupedConv2D(4),
        en.layers.CapConv2D(2, 4),
        en.layers.CapConvModule(2, 4),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_unbuilt_layer_raises(layer):
    with pytest.raises(ValueError, match="not built"):
        load_official_state_dict(layer, {})


def built_layer_with_a_shortcut():
    """Only a module's state dict names the shortcut, which would keep its random weights."""
    layer = en.layers.CapConv2D(2, num_capsules=2, kernel_size=3, strides=2, shortcut_convolution=True)
    layer.build((None, 4, 4, 4))
    return layer


def built_dense():
    dense = keras.layers.Dense(2)
    dense.build((None, 3))
    return dense


@pytest.mark.parametrize(
    "make",
    [
        built_dense,
        built_layer_with_a_shortcut,
        lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]),
        lambda: "a path, perhaps",
        dict,  # The arguments the wrong way round.
    ],
    ids=["Dense", "CapConv2D with a shortcut", "Sequential", "str", "dict"],
)
def test_foreign_object_raises(make):
    with pytest.raises(ValueError, match="counterpart"):
        load_official_state_dict(make(), {})


def test_encapnet6_is_not_loaded_in_part(rng):
    """Its layers are named as EncapNet's, but no state dict of the release has its three other convolutions."""
    model = en.models.EncapNet6((8, 8, 1), 2, "master", num_capsules=2)
    state = StateDict(rng)
    state.conv("module0.0", 2, 1, 3)
    state.norm("module0.1", 2)
    state.module("module1.", 2, 8, 16, 0, "master")
    state["final_cls.weight"] = rng.normal(size=(16, 2, 2))
    with pytest.raises(ValueError, match=r"Missing|counterpart"):
        load_official_state_dict(model, state)


def test_grouped_conv_alone(rng):
    weight, bias = rng.normal(size=(6, 2, 3, 3)), rng.normal(size=6)
    layer = en.layers.GroupedConv2D(6, 3, strides=2, groups=3)
    x = rng.normal(size=(2, 5, 4, 6)).astype("float32")
    layer.build(x.shape)
    load_official_state_dict(layer, {"weight": weight, "bias": bias})
    np.testing.assert_allclose(layer(x), numpy_reference.convolve(x, weight, bias, 3, 2), atol=1e-5)


def test_cap_conv_with_its_last_norm(rng):
    """Names are relative to the layer: the interaction in block 0 and the BatchNorm in block 1."""
    state = small_state(rng, "master_aide")
    prefix = "module1.main_conv."
    state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(f"{prefix}block")}
    layer = en.layers.CapConv2D(2, CAPSULES, kernel_size=3, coefficients="cross")
    x = rng.normal(size=(2, 5, 4, CAPSULES)).astype("float32")
    layer.build(x.shape)
    load_official_state_dict(layer, state)
    expected = numpy_reference.cap_conv(x, state, "block.0.", "block.1", CAPSULES)
    np.testing.assert_allclose(layer(x, training=False), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "changes", "message"),
    [
        (en.layers.SelfAttentionRouting(3, 4), (None, 6, 5), {"b": None}, "Missing: b. Not used: none"),
        (en.layers.SelfAttentionRouting(3, 4), (None, 6, 5), {"bias": np.zeros(3)}, "Missing: none. Not used: bias"),
        (
            en.layers.SelfAttentionRouting(3, 4),
            (None, 6, 5),
            {"W": np.zeros((3, 6, 5, 2))},
            r"W has shape \(3, 6, 5, 2\)",
        ),
        (
            en.layers.SelfAttentionRouting(3, 4),
            (None, 6, 5),
            {"W": np.zeros((3, 6))},
            "W has shape .3, 6., which cannot be",
        ),
        (
            en.layers.SelfAttentionRouting(3, 4),
            (None, 6, 5),
            {"b": np.zeros((3, 6, 7))},
            "b has shape .3, 6, 7., which",
        ),
        (en.layers.SelfAttentionRouting(3, 4), (None, 6, 5), {"b": np.zeros(3)}, "b has shape .3,., which cannot be"),
        (
            en.layers.ConvRouting3D(2, 3, 2),
            (None, 4, 4, 8),
            {"W": np.zeros((3, 3, 3, 9, 6)), "b": np.zeros((2, 3, 1, 1))},
            "W has",
        ),
        (en.layers.SelfAttentionRouting(3, 4), None, {}, "is not built"),
        (keras.layers.Dense(3), (None, 5), {}, "no counterpart"),
        (en.layers.DynamicRouting(3, 4), (None, 6, 5), {}, "no counterpart"),  # which has a bias
    ],
)
def test_reference_weights_that_do_not_fit(layer, shape, changes, message):
    layer = layer.__class__.from_config(layer.get_config())
    if shape is not None:
        layer.build(shape)
    before = layer.get_weights()
    weights = {"W": np.ones((3, 6, 5, 4)), "b": np.ones((3, 6, 1)), **changes}
    with pytest.raises(ValueError, match=message):
        load_reference_weights(layer, {name: array for name, array in weights.items() if array is not None})
    for ours, expected in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_reference_weights_of_other_objects():
    inputs = keras.Input((6, 4))
    capsules = en.layers.SelfAttentionRouting(5, 8, name="class_capsules")(inputs)
    networks = [en.models.PlainCNN((8, 6, 1), 3, num_capsules=1), en.models.CapNet((8, 6, 1), 3, num_capsules=2)]
    for thing in ("a name", *networks, keras.Model(inputs, capsules)):
        with pytest.raises(ValueError, match="no counterpart"):
            load_reference_weights(thing, {})


def test_a_convolution_without_a_bias():
    layer = en.layers.GroupedConv2D(4, 3, use_bias=False)
    layer.build((None, 5, 5, 2))
    weight = np.random.default_rng(0).normal(size=(4, 2, 3, 3))
    load_official_state_dict(layer, {"weight": weight})
    np.testing.assert_allclose(layer.kernel, weight.transpose(2, 3, 1, 0), rtol=1e-6)
