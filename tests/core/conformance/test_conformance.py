"""Rules for every public class: it has a row in the table, and its configuration, shapes and batches are right."""

import functools
import inspect
import json

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.core.conformance.row import PACKAGES, joined_shape
from tests.core.conformance.rows import (
    CALLBACKS,
    LAYERS,
    LAYERS_AND_MODELS,
    LOSSES,
    METRICS,
    MODELS,
    ROWS,
    UNITS,
    enliven,
    has_capsules,
    named,
)


@functools.cache
def built(row):
    """Return the row's model, which the tests of this file share."""
    return row.model()


def test_every_public_class_has_a_row():
    public = {f"{package}.{name}" for package, module in PACKAGES.items() for name in module.__all__}
    assert {row.public for row in ROWS} == public
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_public_names_exist():
    for module in (en, en.interop, en.ops, *PACKAGES.values()):
        assert all(hasattr(module, name) for name in module.__all__), module.__name__
        assert dir(module) == sorted(module.__all__), "completion shows the public names only"
    assert set(PACKAGES) <= set(en.__all__)


def test_feature_maps_of_the_table_are_not_square():
    assert all(row.shape[0] != row.shape[1] for row in LAYERS_AND_MODELS if len(row.shape) == 3)


@pytest.mark.parametrize("row", LAYERS + UNITS + LOSSES + METRICS, ids=named)
def test_config(row):
    """It holds every argument, survives JSON, and makes an equal layer, loss or metric."""
    original = row.factory()
    config = original.get_config()
    copy = row.factory.func.from_config(json.loads(json.dumps(config)))
    assert copy.get_config() == config
    assert keras.saving.get_registered_name(type(original)) == f"encapnet_tf>{type(original).__name__}"
    signature = inspect.signature(row.factory.func.__init__)
    bound = signature.bind(None, *row.factory.args, **row.factory.keywords)
    arguments = (
        set(signature.parameters) - {"self", "args", "kwargs"} if "__init__" in vars(row.factory.func) else set()
    )
    if row.kind == "losses":
        arguments.discard("dtype")  # Keras's losses do not save it either.
    assert arguments <= set(config), "these arguments would be lost in a saved model"
    for name, value in bound.arguments.items():
        if isinstance(value, int | float) or name in ("routing", "coefficients", "skip", "reduction", "name"):
            assert config[name] in (value, (value, value)), "a number may stand for height and width"
        elif isinstance(value, str) and name in config and config[name] != value:
            assert value.replace("_", "") in config[name]["class_name"].lower(), "an initializer or a regularizer"


@pytest.mark.parametrize("row", MODELS, ids=named)
def test_config_of_a_model(row):
    """The trainers rely on the first two arguments and on the default name."""
    names = list(inspect.signature(row.factory.func).parameters)
    assert names[:2] == ["input_shape", "classes"]
    model = built(row)
    assert model.name == row.factory.func.__name__.lower()
    copy = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert copy.to_json() == model.to_json()
    assert type(copy) is type(model)
    assert [w.shape for w in copy.weights] == [w.shape for w in model.weights]
    assert copy.synchronized == model.synchronized


@pytest.mark.parametrize("row", LAYERS, ids=named)
def test_weights_from_shapes_alone(row):
    """`build(shape)` makes the weights that a call makes, so that a saved model is loaded without a call."""
    from_shape, from_call = row.factory(name="same"), row.factory(name="same")
    from_shape.build(row.build_shape((None, *row.shape)))
    assert from_shape.built
    row.call(from_call, row.input())
    described = [(w.path.split("/", 1)[-1], tuple(w.shape)) for w in from_shape.weights]
    assert described == [(w.path.split("/", 1)[-1], tuple(w.shape)) for w in from_call.weights]
    row.call(from_shape, row.input())
    assert len(from_shape.weights) == len(described)


@pytest.mark.parametrize("row", LAYERS_AND_MODELS, ids=named)
def test_shapes_and_batches(row):
    """Output shapes are known in advance; one graph serves any batch, and the samples of a batch are independent."""
    x, model = row.input(3), built(row)
    layer = model if row.kind == "models" else row.factory()
    if row.kind == "layers":
        layer.build(row.build_shape((None, *row.shape)))
    enliven(model, x)
    outputs = keras.ops.convert_to_numpy(model(x, training=False))
    assert joined_shape(layer.compute_output_shape(row.build_shape((3, *row.shape)))) == outputs.shape
    assert joined_shape(layer.compute_output_shape(row.build_shape((None, *row.shape)))) == (None, *outputs.shape[1:])
    assert tuple(model.output_shape) == (None, *outputs.shape[1:])
    one = keras.ops.convert_to_numpy(model(x[1:2], training=False))
    np.testing.assert_allclose(one, outputs[1:2], atol=1e-5)
    assert np.isfinite(outputs).all()
    assert np.abs(outputs[1] - outputs[0]).max() > 0.01, "the samples differ"


CLASSES = (1, 2, 7)
# The first builder with every number of classes, the others with one each.
CLASS_COUNTS = [(MODELS[0], n) for n in CLASSES] + [(row, CLASSES[i % 3]) for i, row in enumerate(MODELS[1:])]


@pytest.mark.parametrize(("row", "classes"), CLASS_COUNTS, ids=lambda value: getattr(value, "name", str(value)))
def test_any_class_count(row, classes):
    model = row.factory.func(row.factory.args[0], classes, *row.factory.args[2:], **row.factory.keywords, name="mine")
    assert model.name == "mine"
    scores = keras.ops.convert_to_numpy(model(row.input(2)))
    assert scores.shape == (2, classes)
    if has_capsules(model):
        assert model.get_layer("class_capsules").output.shape[:2] == (None, classes)
        limit = 1 + 1e-6 if row.name == "capnet_em" else 1  # the length of a squashed capsule is below 1
        assert ((scores >= 0) & (scores < limit)).all()
    else:
        np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("row", LOSSES + METRICS + CALLBACKS, ids=named)
def test_losses_metrics_and_callbacks_in_fit(row):
    """Two epochs of a small network with a feedback unit; labels are integers. Callbacks are tried in a graph."""
    classes = row.shape[-1]
    inputs = keras.Input((4, 4))
    capsules = en.layers.CapFC(classes, 4)(inputs)
    capsules = en.layers.FeedbackAgreement(generator=None, extractor=None)([capsules, inputs])
    model = keras.Model(inputs, en.layers.CapsuleLength()(capsules))
    loss = row.factory() if row.kind == "losses" else row.loss()
    metrics, callbacks = ([row.factory()] if row.kind == kind else [] for kind in ("metrics", "callbacks"))
    model.compile("sgd", loss, metrics=metrics, jit_compile=False, run_eagerly=row.kind != "callbacks")
    x, y = np.random.default_rng(0).normal(size=(5, 4, 4)), np.arange(5) % classes
    y = np.eye(classes)[y] if row.one_hot else y
    history = model.fit(x, y, epochs=2, batch_size=4, verbose=0, callbacks=callbacks)
    assert all(np.isfinite(values).all() for values in history.history.values())
    assert all(metric.name in history.history for metric in metrics)
