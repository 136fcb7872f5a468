"""EncapNet with feedback: its units, the layers they connect, training, saving and stripping."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.layers import FeedbackAgreement

DEPTHS = (0, 1, 2, 3)


def encapnet(feedback, depths=DEPTHS, feedback_options=None, **options):
    modules = len(depths)
    return en.models.EncapNet(
        (16, 12, 2),
        classes=3,
        depths=depths,
        capsule_dims=(1, 2, 3, 2)[:modules],
        strides=(1, 2, 2, 2)[:modules],
        num_capsules=3,
        routing="master",
        feedback=feedback,
        feedback_options={"weight": 0.5, "extractor": None, **(feedback_options or {})},
        **options,
    )


def producer(tensor):
    """Return the name of the layer that computes a tensor; units return their input, so they are skipped."""
    layer = tensor._keras_history.operation
    return producer(layer.input[0]) if isinstance(layer, FeedbackAgreement) else layer.name


def connections(model):
    """Return unit's name -> names of its higher and lower layer."""
    units = [layer for layer in model.layers if isinstance(layer, FeedbackAgreement)]
    return {unit.name: tuple(producer(tensor) for tensor in unit.input) for unit in units}


# The middle type II layer of three is the second; of two the first; a module of depth 0 has its type I output alone.
HALF = {
    "module1_feedback_half": ("module1_type1", "stem_relu"),
    "module2_feedback_half": ("module2_type2_1", "module1_type1"),
    "module3_feedback_half": ("module3_type2_1", "module2_type2_1"),
    "module4_feedback_half": ("module4_type2_2", "module3_type2_2"),
}
SAME = {
    "module2_feedback_same": ("module2_type2_1", "module2_type1"),
    "module3_feedback_same": ("module3_type2_2", "module3_type1"),
    "module4_feedback_same": ("module4_type2_3", "module4_type1"),
}


def test_half():
    assert connections(encapnet("half")) == HALF


def test_two():
    """A module of depth 0 has no type II layer, so no "same" unit."""
    assert connections(encapnet("two")) == {**HALF, **SAME}


def test_same():
    model = encapnet("same", depths=(1, 3))
    assert connections(model) == {
        "module1_feedback_same": ("module1_type2_1", "module1_type1"),
        "module2_feedback_same": ("module2_type2_3", "module2_type1"),
    }


def test_same_needs_type_ii_layers():
    with pytest.raises(ValueError, match=r'feedback="same".*module1 has one layer only'):
        encapnet("same", depths=(0, 1))


def test_none():
    assert connections(encapnet(None)) == {}


def test_unknown():
    with pytest.raises(ValueError, match=r"feedback must be one of None, 'half', 'same', 'two'.*'both'"):
        encapnet("both")


def test_units_sit_in_the_path_but_change_nothing():
    """Same names, same weights of everything else, same output."""
    bare, model = encapnet(None), encapnet("two")
    model_weights = {weight.path: weight for weight in model.weights}
    for weight in bare.weights:
        model_weights[weight.path].assign(weight)
    x = np.random.default_rng(0).random((2, 16, 12, 2)).astype("float32")
    np.testing.assert_array_equal(model(x, training=False), bare(x, training=False))
    assert {layer.name for layer in bare.layers} == {layer.name for layer in model.layers} - set(connections(model))


def test_units_in_some_modules_only():
    """The other modules stay as they are, so a unit's layers are those that it has among all units."""
    expected = {name: layers for name, layers in (HALF | SAME).items() if name[:7] in ("module2", "module4")}
    assert connections(encapnet("two", feedback_options={"modules": (4, 2)})) == expected


@pytest.mark.parametrize("modules", [(5,), (), (0,), (1.5,)])
def test_modules_that_do_not_exist(modules):
    with pytest.raises(ValueError, match=r"modules must be .*(from 1 to 4|at least 1).*Received: modules="):
        encapnet("half", feedback_options={"modules": modules})


def test_options_reach_every_unit():
    model = encapnet("two")
    units = [model.get_layer(name) for name in connections(model)]
    assert len(units) == 7
    assert all(unit.weight == 0.5 for unit in units)
    assert all(unit.extractor is None for unit in units)
    assert all(unit.num_capsules == 3 for unit in units)


def test_synchronized():
    model = encapnet("half", depths=(0, 1), synchronized=True)
    units = [model.get_layer(name) for name in connections(model)]
    assert all(unit.synchronized for unit in units)
    model.synchronized = False
    assert not any(unit.synchronized for unit in units)


def test_it_trains_saves_reloads_and_strips(tmp_path):
    model = encapnet("two", depths=(1,))
    model.compile(keras.optimizers.SGD(0.01), en.losses.MarginLoss(), metrics=["accuracy"], jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = rng.random((8, 16, 12, 2)).astype("float32"), rng.integers(3, size=8)
    history = model.fit(x, y, batch_size=4, validation_data=(x, y), verbose=0).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", *connections(model)}
    assert all(np.isfinite(values).all() for values in history.values())
    model.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    assert connections(loaded) == connections(model)
    expected = model(x, training=False)
    np.testing.assert_array_equal(loaded(x, training=False), expected)
    stripped = en.strip_feedback(loaded)
    assert connections(stripped) == {}
    assert type(stripped) is type(model)
    np.testing.assert_array_equal(stripped(x, training=False), expected)
    assert stripped.count_params() == encapnet(None, depths=(1,)).count_params()


def test_encapnet6():
    def encapnet6(feedback):
        return en.models.EncapNet6((12, 8, 1), 2, routing="master", num_capsules=2, feedback=feedback)

    for feedback in ("half", "two"):
        assert connections(encapnet6(feedback)) == {"module1_feedback_half": ("module1_type1", "conv4_relu")}
    assert connections(encapnet6(None)) == {}
    with pytest.raises(ValueError, match="same"):
        encapnet6("same")
