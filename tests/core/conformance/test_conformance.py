"""What every public class keeps to: it is in the table, and its configuration, shapes and batches are right."""

import inspect
import json

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.core.conformance.rows import (
    CALLBACKS,
    LAYERS,
    LAYERS_AND_MODELS,
    LOSSES,
    MODELS,
    PACKAGES,
    ROWS,
    UNITS,
    enliven,
    has_capsules,
    named,
)


def test_every_public_class_has_a_row():
    public = {f"{package}.{name}" for package, module in PACKAGES.items() for name in module.__all__}
    assert {row.public for row in ROWS} == public
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_public_names_are_there():
    for module in (en, en.ops, *PACKAGES.values()):
        assert all(hasattr(module, name) for name in module.__all__), module.__name__
    assert set(PACKAGES) <= set(en.__all__)


def test_feature_maps_of_the_table_are_not_square():
    assert all(row.shape[0] != row.shape[1] for row in LAYERS_AND_MODELS if len(row.shape) == 3)


@pytest.mark.parametrize("row", LAYERS + UNITS + LOSSES, ids=named)
def test_config_round_trip(row):
    made = row.factory()
    config = made.get_config()
    again = row.factory.func.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    assert keras.saving.get_registered_name(type(made)) == f"encapnet_tf>{type(made).__name__}"


@pytest.mark.parametrize("row", LAYERS + UNITS + LOSSES, ids=named)
def test_config_holds_every_argument(row):
    config = row.factory().get_config()
    signature = inspect.signature(row.factory.func.__init__)
    bound = signature.bind(None, *row.factory.args, **row.factory.keywords)
    own = set(signature.parameters) - {"self", "args", "kwargs"} if "__init__" in vars(row.factory.func) else set()
    if row.kind == "losses":
        own.discard("dtype")  # Keras's own losses do not save it either.
    assert own <= set(config), "these arguments would be lost in a saved model"
    for name, value in bound.arguments.items():
        if isinstance(value, int | float) or name in ("routing", "coefficients", "skip", "reduction", "name"):
            assert config[name] == value
        elif (
            isinstance(value, str) and name in config and config[name] != value
        ):  # An initializer or a regularizer, by its name.
            assert value.replace("_", "") in config[name]["class_name"].lower()


@pytest.mark.parametrize("row", MODELS, ids=named)
def test_model_config_round_trip(row):
    model = row.factory()
    again = type(model).from_config(json.loads(json.dumps(model.get_config())))
    assert again.to_json() == model.to_json()
    assert type(again) is type(model)
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    assert again.synchronized == model.synchronized


@pytest.mark.parametrize("row", MODELS, ids=named)
def test_model_arguments_reach_the_signature_of_encapnet(row):
    """A builder takes the input's shape and the classes first, and a name: what the trainers lean on."""
    names = list(inspect.signature(row.factory.func).parameters)
    assert names[:2] == ["input_shape", "classes"]
    assert row.factory(name="mine").name == "mine"
    assert row.factory().name == row.factory.func.__name__.lower()


@pytest.mark.parametrize("row", LAYERS, ids=named)
def test_weights_from_shapes_alone(row):
    """`build(shape)` makes the same weights as a call does, so that a saved model can be loaded without one."""
    built, called = row.factory(name="same"), row.factory(name="same")
    built.build((None, *row.shape))
    assert built.built
    row.call(called, row.input())
    described = [(w.path.split("/", 1)[-1], tuple(w.shape)) for w in built.weights]
    assert described == [(w.path.split("/", 1)[-1], tuple(w.shape)) for w in called.weights]
    row.call(built, row.input())
    assert len(built.weights) == len(described)


def joined(shape):
    """The two shapes of EM routing as the one that its row makes of them."""
    return (*shape[0][:2], shape[0][2] + 1) if isinstance(shape[0], tuple) else tuple(shape)


@pytest.mark.parametrize("row", LAYERS_AND_MODELS, ids=named)
def test_compute_output_shape(row):
    made, model = row.factory(), row.model()
    shape = tuple(row.call(made, row.input()).shape)
    assert joined(made.compute_output_shape((3, *row.shape))) == shape
    assert joined(made.compute_output_shape((None, *row.shape))) == (None, *shape[1:])
    assert tuple(model.output_shape) == (None, *shape[1:])


@pytest.mark.parametrize("row", LAYERS_AND_MODELS, ids=named)
def test_samples_of_a_batch_do_not_meet_in_evaluation(row):
    """Dynamic batch: one graph serves any size, and a sample's output is the same in each."""
    x = row.input(3)
    model = enliven(row.model(), x)
    predict = keras.ops.convert_to_numpy
    whole = predict(model(x, training=False))
    np.testing.assert_allclose(predict(model(x[1:2], training=False)), whole[1:2], atol=1e-5)
    assert np.isfinite(whole).all()
    assert np.abs(whole[1] - whole[0]).max() > 0.01, "the samples differ"


@pytest.mark.parametrize("classes", [1, 2, 7])
@pytest.mark.parametrize("row", MODELS, ids=named)
def test_any_class_count(row, classes):
    arguments = (row.factory.args[0], classes)
    model = row.factory.func(*arguments, **row.factory.keywords)
    lengths = keras.ops.convert_to_numpy(model(row.input(2)))
    assert lengths.shape == (2, classes)
    if has_capsules(model):
        assert model.get_layer("class_capsules").output.shape[:2] == (None, classes)
        assert ((lengths >= 0) & (lengths < 1)).all()
    else:
        np.testing.assert_allclose(lengths.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("row", LOSSES + CALLBACKS, ids=named)
def test_losses_and_callbacks_in_fit(row):
    """Two epochs of a small network; labels are integers."""
    classes = row.shape[-1]
    model = en.models.EncapNet(
        (4, 4, 1), classes, depths=(0,), capsule_dims=(2,), strides=(2,), num_capsules=2, feedback="half"
    )
    made = row.factory()
    loss, callbacks = (row.loss(), [made]) if row.kind == "callbacks" else (made, [])
    model.compile("sgd", loss)
    x, y = np.random.default_rng(0).normal(size=(5, 4, 4, 1)), np.arange(5) % classes
    y = np.eye(classes)[y] if row.one_hot else y
    history = model.fit(x, y, epochs=2, batch_size=4, verbose=0, callbacks=callbacks)
    assert np.isfinite(history.history["loss"]).all()
