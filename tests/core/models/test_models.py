"""Builders of EncapNets: the sizes that the paper states, options per module, and the networks in Keras models."""

import inspect

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.core.conformance.rows import enliven

TINY = {"depths": (1, 1), "capsule_dims": (2, 4), "strides": (1, 2), "num_capsules": 4}
ONE_MODULE = {
    "depths": (1,),
    "capsule_dims": (2,),
    "strides": (2,),
    "num_capsules": 3,
}  # traced in half the time of two modules


def trainable_parameters(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"routing": "master"}, 1_743_680),
        ({"coefficients": "own"}, 36_474_944),
        ({"coefficients": "cross"}, 36_474_944),
        ({"routing": "master", "depths": (2, 2, 2, 2)}, 1_729_920),
    ],
    ids=lambda value: str(value),
)
def test_parameters_of_encapnet18(options, parameters):
    model = en.models.EncapNet18((32, 32, 3), 10, kernel_initializer="zeros", **options)
    assert trainable_parameters(model) == parameters


def test_defaults_are_the_papers_network():
    """EncapNet18() is the network of Table 2 with the paper's best coefficients: 18 layers, 10 classes."""
    model = en.models.EncapNet18(kernel_initializer="zeros")
    assert trainable_parameters(model) == 36_544_064
    assert model.input_shape == (None, 32, 32, 3)
    assert model.output_shape == (None, 10)
    assert depth_of(model) == 18
    assert model.get_layer("class_capsules").output.shape == (None, 10, 16)
    assert model.get_layer("module4_type2_3").output.shape == (None, 4, 4, 512)
    defaults = [inspect.signature(build).parameters for build in (en.models.EncapNet18, en.models.EncapNet)]
    assert [defaults[0][name].default == defaults[1][name].default for name in ("input_shape", "classes")] == [True] * 2


def test_encapnet6_is_the_size_of_table_1():
    """Row (e), 25.8 "Mb": the paper counts parameters * 16 / 2^20."""
    model = en.models.EncapNet6((32, 32, 3), 10, routing="master")
    assert trainable_parameters(model) * 16 / 2**20 == pytest.approx(25.8, rel=0.005)
    assert depth_of(model) == 6
    assert [
        model.get_layer(name).output.shape[1:] for name in ("stem", "conv2", "conv3", "conv4", "module1_type1")
    ] == [
        (32, 32, 32),
        (32, 32, 64),
        (16, 16, 128),
        (8, 8, 256),
        (4, 4, 512),
    ]


def depth_of(model):
    """Return the number of layers as the paper counts: convolutions, capConvs and the capFC, without shortcuts."""
    kinds = (en.layers.CapConv2D, en.layers.CapFC, en.layers.GroupedConv2D)
    return sum(isinstance(layer, kinds) and not layer.name.endswith("shortcut") for layer in model.layers)


@pytest.mark.ci
def test_encapnet101_has_101_layers():
    model = en.models.EncapNet101((8, 8, 1), 2, num_capsules=1)
    assert depth_of(model) == 101
    routing = [model.get_layer(f"module{m}_type1").routing for m in (1, 2, 3, 4)]
    assert routing == ["master", "master", "master_aide", "master_aide"]


def test_each_module_has_its_own_choices():
    model = en.models.EncapNet(
        (8, 6, 1), 2, **TINY, routing=("master", "master_aide"), coefficients=("own", "cross"), skip="type2"
    )
    first, second = model.get_layer("module1_type2_1"), model.get_layer("module2_type1")
    assert (first.routing, first.coefficients, first.capsule_dim, first.strides) == ("master", "own", 2, 1)
    assert (second.routing, second.coefficients, second.capsule_dim, second.strides) == ("master_aide", "cross", 4, 2)
    assert not [layer for layer in model.layers if layer.name.endswith("shortcut")]


def test_options_reach_every_layer():
    model = en.models.EncapNet((8, 6, 1), 2, **TINY, aide_excludes_own=True, kernel_initializer="he_normal")
    layers = [layer for layer in model.layers if isinstance(layer, en.layers.CapConv2D)]
    assert len(layers) == 4
    assert all(layer.aide_excludes_own for layer in layers)
    assert all(type(layer.kernel_initializer).__name__ == "HeNormal" for layer in layers)
    six = en.models.EncapNet6((8, 6, 1), 2, num_capsules=2, aide_excludes_own=True, coefficients="own")
    assert six.get_layer("module1_type1").aide_excludes_own
    assert six.get_layer("module1_type1").coefficients == "own"


@pytest.mark.parametrize("build", [en.models.EncapNet18, en.models.EncapNet6])
def test_rescaling(rng, build):
    options = {"num_capsules": 2, "routing": "master"}
    pixels = rng.integers(0, 256, (3, 8, 6, 1))
    raw = enliven(build((8, 6, 1), 3, include_rescaling=True, **options), pixels)
    scaled = build((8, 6, 1), 3, **options)
    scaled.set_weights(raw.get_weights())
    np.testing.assert_allclose(raw(pixels), scaled(np.float32(pixels) * np.float32(1 / 255)), atol=1e-5)
    assert raw.layers[1].name == "rescaling"


@pytest.mark.parametrize("name", ["depths", "capsule_dims", "strides", "routing", "coefficients"])
def test_one_entry_a_module(name):
    value = ("master",) * 3 if name == "routing" else ("own",) * 3 if name == "coefficients" else (1, 2, 2)
    with pytest.raises(ValueError, match=r"one entry of \w+ per module"):
        en.models.EncapNet((8, 6, 1), 2, **{**TINY, name: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": (), "capsule_dims": (), "strides": ()}, "at least 1"),
        ({"depths": (1, -1)}, "depth"),
        ({"capsule_dims": (2, 0)}, "capsule_dim"),
        ({"strides": (1, 0)}, "strides"),
        ({"num_capsules": 0}, "num_capsules"),
        ({"routing": "dynamic"}, "routing"),
        ({"routing": ("master", "dynamic")}, "routing"),
        ({"coefficients": "other"}, "coefficients"),
        ({"skip": "other"}, "skip"),
        ({"classes": 0}, "classes"),
        ({"classes": 2.5}, "classes"),
        ({"input_shape": (8, 6)}, "input_shape"),
        ({"input_shape": (8, None, 1)}, "input_shape"),
        ({"input_shape": (8, 0, 1)}, "input_shape"),
    ],
    ids=str,
)
def test_wrong_arguments_raise(changes, message):
    with pytest.raises(ValueError, match=message):
        en.models.EncapNet(**{"input_shape": (8, 6, 1), "classes": 2, **TINY, **changes})


def batch_norms(model):
    return [part for part in model._flatten_layers() if isinstance(part, keras.layers.BatchNormalization)]


@pytest.mark.parametrize(
    "build",
    [
        lambda **options: en.models.EncapNet((8, 6, 1), 2, **TINY, **options),
        lambda **options: en.models.EncapNet6((8, 6, 1), 2, num_capsules=2, **options),
    ],
    ids=["EncapNet", "EncapNet6"],
)
def test_synchronized(build, tmp_path):
    """An argument, a settable attribute, and part of the saved model; every BatchNorm follows."""
    model = build()
    assert not model.synchronized
    assert not any(norm.synchronized for norm in batch_norms(model))
    model.synchronized = True
    assert model.synchronized
    assert all(norm.synchronized for norm in batch_norms(model))
    assert len(batch_norms(model)) > 6
    model.save(tmp_path / "model.keras")
    assert all(norm.synchronized for norm in batch_norms(en.load_model(tmp_path / "model.keras")))
    model.synchronized = False
    assert not any(norm.synchronized for norm in batch_norms(model))
    assert all(norm.synchronized for norm in batch_norms(build(synchronized=True)))


def test_synchronized_on_one_device_changes_nothing(rng):
    x, y = rng.normal(size=(4, 8, 6, 1)), np.array([0, 1, 0, 1])
    losses = []
    for synchronized in (False, True):
        keras.utils.set_random_seed(1)
        model = en.models.EncapNet((8, 6, 1), 2, **ONE_MODULE, routing="master", synchronized=synchronized)
        model.compile(keras.optimizers.SGD(0.1), en.losses.MarginLoss(), run_eagerly=True)
        losses.append(model.fit(x, y, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_fit_evaluate_predict_save_load(rng, tmp_path):
    """A network learns six images by heart, is saved and loaded, and its next training step is that of the original."""
    x, y = rng.normal(size=(6, 8, 6, 2)), np.array([0, 1, 2, 0, 1, 2])
    model = en.models.EncapNet((8, 6, 2), 3, **ONE_MODULE, routing="master")
    model.compile(keras.optimizers.Adam(0.02), en.losses.MarginLoss(), metrics=["accuracy"])
    history = model.fit(x, y, batch_size=6, epochs=30, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert history["accuracy"][-1] == 1.0
    evaluated = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    predicted = model.predict(x, batch_size=4, verbose=0)
    assert predicted.shape == (6, 3)
    model.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    for either in (model, loaded):
        either.run_eagerly = True
    assert loaded.evaluate(x, y, batch_size=4, verbose=0, return_dict=True) == pytest.approx(evaluated, abs=1e-5)
    np.testing.assert_allclose(loaded.predict(x, batch_size=4, verbose=0), predicted, atol=1e-6)
    np.testing.assert_allclose(loaded.train_on_batch(x, y), model.train_on_batch(x, y), rtol=1e-4)
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_class_capsules_can_be_tapped(rng):
    """The scores are the lengths of the class capsules."""
    x = rng.normal(size=(3, 8, 6, 1))
    model = enliven(en.models.EncapNet((8, 6, 1), 3, **TINY), x)
    tap = keras.Model(model.input, [model.get_layer("class_capsules").output, model.output])
    capsules, lengths = tap(x)
    assert capsules.shape == (3, 3, 4)
    assert np.std(lengths) > 0.01
    np.testing.assert_allclose(lengths, np.linalg.norm(capsules, axis=-1), atol=1e-6)


def test_layers_in_a_functional_model(rng, tmp_path):
    """Between Keras's layers, a module nested as one layer: `fit` updates its moving statistics, and it is reloaded."""
    inputs = keras.Input((8, 6, 3))
    x = keras.layers.Conv2D(8, 3, padding="same")(inputs)
    x = en.layers.Squash(4)(x)
    x = en.layers.CapConvModule(2, 4, depth=1, routing="master", name="module")(x)
    x = en.layers.CapConv2D(2, 4, coefficients="own")(x, shortcut=x)
    x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    before = [np.asarray(w) for w in model.get_layer("module").non_trainable_weights]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = rng.normal(size=(4, 8, 6, 3))
    model.fit(images, np.arange(4) % 3, epochs=2, verbose=0)
    after = [np.asarray(w) for w in model.get_layer("module").non_trainable_weights]
    assert all((old != new).any() for old, new in zip(before, after, strict=True))
    enliven(model, images).save(tmp_path / "own.keras")
    np.testing.assert_allclose(en.load_model(tmp_path / "own.keras")(images), model(images), atol=1e-6)


def test_layers_in_a_sequential_model(rng, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 6, 1)),
            en.layers.GroupedConv2D(4),
            en.layers.CapConvModule(2, 4, depth=1, routing="master"),
            en.layers.CapConv2D(2, 4, kernel_size=3, strides=2),
            en.layers.CapFC(3, 2),
            en.layers.CapsuleLength(),
        ]
    )
    images = rng.normal(size=(2, 8, 6, 1))
    assert model.output_shape == (None, 3)
    model.compile("sgd", en.losses.MarginLoss(), run_eagerly=True)
    model.fit(images, np.array([0, 2]), verbose=0)
    enliven(model, images).save(tmp_path / "sequential.keras")
    np.testing.assert_allclose(en.load_model(tmp_path / "sequential.keras")(images), model(images), atol=1e-6)


def test_two_networks_in_one_model(rng):
    """Two networks side by side as layers of one model."""
    inputs = keras.Input((8, 6, 1))
    networks = [en.models.EncapNet((8, 6, 1), 2, **TINY, routing="master", name=f"net{i}") for i in (1, 2)]
    x = rng.normal(size=(3, 8, 6, 1))
    networks = [enliven(network, x) for network in networks]
    model = keras.Model(inputs, keras.layers.Average()([network(inputs) for network in networks]))
    np.testing.assert_allclose(model(x), sum(np.asarray(network(x)) for network in networks) / 2, atol=1e-6)


@pytest.mark.parametrize(("size", "first"), [(32, 32), (95, 95), (96, 24), (128, 32), (224, 56)])
def test_large_images_reach_the_first_module_a_quarter_as_large(size, first):
    model = en.models.EncapNet((size, size, 3), depths=(0,), capsule_dims=(2,), strides=(1,), num_capsules=2)
    assert model.get_layer("module1_type1").output.shape[1:3] == (first, first)


def test_the_stem_can_be_chosen():
    options = {"depths": (0,), "capsule_dims": (2,), "strides": (2,), "num_capsules": 2}
    assert en.models.EncapNet((32, 48, 3), stem="large", **options).get_layer("stem").output.shape[1:3] == (8, 12)
    assert en.models.EncapNet((128, 128, 3), stem="small", **options).get_layer("stem").output.shape[1:3] == (128, 128)
    with pytest.raises(ValueError, match="stem"):
        en.models.EncapNet((32, 32, 3), stem="huge", **options)
