"""CapConvModule with its skips, CapFC and CapsuleLength."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.core.ops import numpy_reference


def build(rng, **options):
    module = en.layers.CapConvModule(2, 4, **{"routing": "master", **options})
    module.build((2, 6, 5, 4))
    module.set_weights([w + rng.uniform(0.1, 0.5, w.shape) for w in module.get_weights()])
    return module, rng.normal(size=(2, 6, 5, 4)).astype("float32")


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@pytest.mark.parametrize("skip", ["both", "type1", "type2", "none"])
def test_skips(rng, skip, depth):
    """Type I takes the dense shortcut in "both" and "type1"; its output joins the LAST type II in "both", "type2"."""
    module, x = build(rng, skip=skip, depth=depth)
    assert module.type1.shortcut_convolution == (skip in ("both", "type1"))
    assert len(module.type2) == depth
    y = module.type1.master(x) + (module.type1.shortcut(x) if skip in ("both", "type1") else 0.0)
    y = type1 = module.type1.activation(y)
    for layer in module.type2:
        joins = layer is module.type2[-1] and skip in ("both", "type2")
        y = layer(y, shortcut=type1 if joins else None)
    np.testing.assert_allclose(module(x, training=False), y, atol=1e-6)


def test_skips_make_a_difference(rng):
    """With the same weights in its layers, each skip gives another output."""
    outputs = []
    for skip in ("both", "type1", "type2", "none"):
        keras.utils.set_random_seed(1)
        module = en.layers.CapConvModule(2, 4, depth=2, routing="master", skip=skip)
        module.build((2, 6, 5, 4))
        for part in module._flatten_layers():
            for w in part._trainable_variables:
                w.assign(np.random.default_rng(3).uniform(0.1, 0.5, w.shape))
        outputs.append(np.asarray(module(np.linspace(-1, 1, 240).reshape(2, 6, 5, 4), training=False)))
    for i in range(4):
        for j in range(i):
            assert np.abs(outputs[i] - outputs[j]).max() > 1e-4


def test_kernels_and_strides(rng):
    module, _ = build(rng, depth=2, strides=2)
    assert [layer.kernel_size for layer in (module.type1, module.type1.shortcut, *module.type2)] == [3, 3, 1, 1]
    assert [layer.strides for layer in (module.type1, module.type1.shortcut, *module.type2)] == [2, 2, 1, 1]
    assert module.type1.shortcut.groups == 1


def test_moving_statistics_are_updated_in_training_only(rng):
    """`training` reaches the layers inside."""
    module, x = build(rng, depth=1)
    before = [np.asarray(w) for w in module.non_trainable_weights]
    module(x, training=False)
    assert all((np.asarray(w) == old).all() for w, old in zip(module.non_trainable_weights, before, strict=True))
    module(x, training=True)
    assert all((np.asarray(w) != old).any() for w, old in zip(module.non_trainable_weights, before, strict=True))


def test_synchronized(rng):
    module, _ = build(rng, depth=2, routing="master_aide")
    module.synchronized = True
    norms = [part for part in module._flatten_layers() if isinstance(part, keras.layers.BatchNormalization)]
    assert len(norms) == 9
    assert all(norm.synchronized for norm in norms)
    assert module.get_config()["synchronized"] is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"skip": "all"}, r"skip.*'both', 'type1', 'type2', 'none'.*'all'"),
        ({"depth": -1}, "depth"),
        ({"depth": 1.5}, "depth"),
        ({"routing": "x"}, "routing"),
        ({"coefficients": "x"}, "coefficients"),
        ({"strides": 0}, "strides"),
        ({"capsule_dim": -2}, "capsule_dim"),
    ],
)
def test_wrong_arguments_raise(changes, message):
    with pytest.raises(ValueError, match=message):
        en.layers.CapConvModule(**{"capsule_dim": 2, "num_capsules": 4, **changes})


def test_channels_must_divide():
    with pytest.raises(ValueError, match="num_capsules=4"):
        en.layers.CapConvModule(2, 4).build((None, 6, 5, 6))


def test_cap_fc_orders_capsules_by_capsule_height_width(rng):
    """The capsules of a feature map are read in the order in which the release flattens them."""
    layer = en.layers.CapFC(3, 2)
    x = rng.normal(size=(2, 4, 3, 6)).astype("float32")
    y = layer(x)
    np.testing.assert_allclose(y, numpy_reference.cap_fc(x, np.asarray(layer.kernel)), atol=1e-5)
    capsules = x.reshape(2, 4, 3, 3, 2).transpose(0, 3, 1, 2, 4).reshape(2, 36, 2)
    same = en.layers.CapFC(3, 2)
    same.build((None, 36, 2))
    same.set_weights(layer.get_weights())
    np.testing.assert_allclose(same(capsules), y, atol=1e-6)


def test_cap_fc_starts_glorot_for_each_component():
    layer = en.layers.CapFC(100, 4)
    layer.build((None, 5, 10, 16))
    kernel = np.asarray(layer.kernel)
    assert kernel.shape == (4, 200, 100)
    np.testing.assert_allclose(kernel.std((1, 2)), (2 / 300) ** 0.5, rtol=0.03)
    assert np.abs(kernel.mean()) < 1e-3


@pytest.mark.parametrize("shape", [(2, 8), (2, 3, 5), (2, None, 4), (2, 4, None, 8), (2, 3, 3, 6), (2, 1, 3, 3, 4)])
def test_cap_fc_wrong_input_raises(shape):
    with pytest.raises(ValueError, match="capsule_dim=4"):
        en.layers.CapFC(2, 4).build(shape)


def test_cap_fc_other_size_than_built_for_raises(rng):
    layer = en.layers.CapFC(2, 4)
    layer.build((None, 3, 2, 8))
    with pytest.raises(ValueError, match="incompatible"):
        layer(np.ones((1, 2, 3, 8)))


def test_cap_fc_wrong_arguments_raise():
    for changes in ({"num_capsules": 0}, {"capsule_dim": 1.5}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            en.layers.CapFC(**{"num_capsules": 2, "capsule_dim": 4, **changes})


def test_capsule_length(rng):
    x = rng.normal(size=(3, 5, 4)).astype("float32")
    np.testing.assert_allclose(en.layers.CapsuleLength()(x), np.linalg.norm(x, axis=-1), rtol=1e-6)
