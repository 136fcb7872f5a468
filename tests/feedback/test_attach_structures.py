"""attach_feedback and strip_feedback on models with several inputs or outputs and nested models, and their errors."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.layers import FeedbackAgreement
from tests.feedback.test_attach import dense, samples, sequential, unit_paths, units


def two_inputs(as_dict=False):
    inputs = {name: keras.Input((6,), name=name) for name in ("left", "right")}
    a = keras.layers.Dense(5, activation="relu", name="a")(inputs["left"])
    b = keras.layers.Dense(5, activation="relu", name="b")(inputs["right"])
    x = keras.layers.Concatenate(name="both")([a, b])
    x = keras.layers.Dense(4, activation="relu", name="high")(x)
    heads = {name: keras.layers.Dense(2, name=name)(x) for name in ("one", "other")}
    return keras.Model(inputs if as_dict else list(inputs.values()), heads if as_dict else list(heads.values()))


@pytest.mark.parametrize("as_dict", [False, True])
def test_several_inputs_and_outputs(as_dict):
    model = two_inputs(as_dict)
    regularised = en.attach_feedback(model, [("a", "left"), ("high", "both")], weight=1.0)
    rng = np.random.default_rng(0)
    x = {name: rng.normal(size=(8, 6)).astype("float32") for name in ("left", "right")}
    y = {name: rng.normal(size=(8, 2)).astype("float32") for name in ("one", "other")}
    if not as_dict:
        x, y = list(x.values()), list(y.values())
    expected = keras.tree.flatten(model(x, training=False))
    regularised.compile("sgd", "mse" if not as_dict else {"one": "mse", "other": "mae"}, run_eagerly=True)
    for ours, theirs in zip(keras.tree.flatten(regularised(x, training=False)), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    history = regularised.fit(x, y, verbose=0).history
    assert {"feedback_a_left", "feedback_high_both"} <= set(history)
    stripped = en.strip_feedback(regularised)
    assert not unit_paths(stripped)
    keras.tree.assert_same_structure(stripped.output, model.output)
    keras.tree.assert_same_structure(stripped.input, model.input)
    outputs = [keras.tree.flatten(m(x, training=False)) for m in (stripped, regularised)]
    for ours, theirs in zip(*outputs, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("as_dict", [False, True])
def test_an_output_keeps_its_name(as_dict, tmp_path):
    """With a unit at an output, or two, `loss={"one": ...}` fits; also after saving, and after stripping."""
    model = two_inputs(as_dict)
    names = model.output_names
    regularised = en.attach_feedback(model, [("one", "high"), ("other", "high"), ("other", "left")])
    rng = np.random.default_rng(0)
    x = {name: rng.normal(size=(4, 6)).astype("float32") for name in ("left", "right")}
    y = {name: rng.normal(size=(4, 2)).astype("float32") for name in ("one", "other")}
    expected = {"loss", "one_loss", "other_loss", "other_mae"}
    compilation = {"loss": {"one": "mse", "other": "mae"}, "metrics": {"other": "mae"}, "run_eagerly": True}
    regularised.compile("sgd", **compilation)
    logs = regularised.train_on_batch(x, y, return_dict=True)
    assert set(logs) == {*expected, *(unit.name for unit in units(regularised))}
    regularised.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    stripped = en.strip_feedback(loaded)
    for copy in (regularised, loaded, stripped):
        assert list(copy.output_names) == list(names)  # the oldest Keras compares its own kinds of list by identity
        assert set(copy.evaluate(x, y, return_dict=True, verbose=0)) == expected
        keras.tree.assert_same_structure(copy.output, model.output)
    assert type(stripped) is type(model)  # its files load without this library
    for ours, theirs in zip(*(keras.tree.flatten(m.predict(x, verbose=0)) for m in (stripped, model)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_compiled_model_keeps_its_outputs_names():
    model = sequential()
    model.compile("sgd", loss={"out": "mse"}, run_eagerly=True)
    regularised = en.attach_feedback(en.attach_feedback(model, [("out", "high")]), [("mid", "low")])
    logs = regularised.train_on_batch(*samples(model), return_dict=True)
    assert set(logs) == {"loss", "feedback_out_high", "feedback_mid_low"}


def nested(inner):
    inputs = keras.Input((10,), name="outer_in")
    x = keras.layers.Dense(10, activation="relu", name="first")(inputs)
    x = inner(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="last")(x), name="outer")


@pytest.mark.parametrize("levels", [1, 2])
def test_stripping_a_nested_model(levels):
    model = nested(en.attach_feedback(dense(), [("mid", "low")], weight=1.0))
    if levels == 2:
        inputs = keras.Input((10,))
        model = keras.Model(inputs, model(inputs))
    x, _ = samples(model)
    model(x, training=True)
    assert len(model.losses) == 1
    stripped = en.strip_feedback(model)
    assert unit_paths(model)
    assert not unit_paths(stripped)
    np.testing.assert_array_equal(stripped(x, training=False), model(x, training=False))
    stripped(x, training=True)
    assert stripped.losses == []
    model.get_layer("last" if levels == 1 else "outer").trainable_variables[-1].assign([5.0, 5.0])
    np.testing.assert_array_equal(stripped(x, training=False), model(x, training=False))


def test_a_nested_model_trains_and_logs():
    model = nested(en.attach_feedback(dense(), [("mid", "low")], weight=1.0))
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = samples(model)
    assert set(model.fit(x, y, validation_data=(x, y), verbose=0).history) == {"loss", "val_loss", "feedback_mid_low"}


def test_a_nested_model_as_a_layer_to_attach_to():
    model = nested(dense())
    regularised = en.attach_feedback(model, [("dense_net", "first")])
    x, _ = samples(model)
    regularised(x, training=True)
    assert len(regularised.losses) == 1
    np.testing.assert_array_equal(regularised(x, training=False), model(x, training=False))


@pytest.mark.parametrize("pair", [("mid", "low"), ("dense_net/mid", "dense_net/low"), ("dense_net/mid", "low")])
@pytest.mark.parametrize("levels", [1, 2])
def test_attaching_inside_a_nested_model(levels, pair, tmp_path):
    model = nested(dense())
    if levels == 2:
        inputs = keras.Input((10,))
        model = keras.Model(inputs, keras.Sequential([keras.Input((10,)), model])(inputs))
        pair = tuple(name.rsplit("/", 1)[-1] for name in pair)
    x, y = samples(model)
    expected = model(x, training=False)
    regularised = en.attach_feedback(model, [pair], weight=1.0)
    name = "feedback_" + "_".join(pair).replace("/", "_")
    np.testing.assert_array_equal(regularised(x, training=False), expected)
    regularised.compile("sgd", "mse", run_eagerly=True)
    assert set(regularised.train_on_batch(x, y, return_dict=True)) == {"loss", name}
    regularised.save(tmp_path / "model.keras")
    stripped = en.strip_feedback(en.load_model(tmp_path / "model.keras"))
    assert not unit_paths(stripped)
    np.testing.assert_array_equal(stripped(x, training=False), model(x, training=False))
    assert not unit_paths(model)


def test_attaching_inside_a_nested_model_that_is_called_twice():
    inner = dense()
    inputs = [keras.Input((10,)), keras.Input((10,))]
    model = keras.Model(inputs, keras.layers.Subtract()([inner(x) for x in inputs]))
    regularised = en.attach_feedback(model, [("mid", "low")], weight=1.0)
    x, _ = samples(inner)
    regularised([x, 2 * x], training=True)
    assert len(regularised.losses) == 2
    np.testing.assert_array_equal(regularised([x, 2 * x]), model([x, 2 * x]))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("mid", "low")], "Several nested models have a layer 'mid'. Say which: 'one/mid' or 'two/mid'"),
        ([("one/mid", "two/low")], "'mid' lies in one and 'low' lies in two. Choose both layers in one"),
        ([("last", "one/low")], "'last' lies in pair and 'low' lies in one"),
        ([("one/nowhere", "one/low")], r"pair has no layer 'one/nowhere'\. .*expand_nested=True"),
        ([("one/in", "one/low")], "'one/low' is not computed before the higher layer 'one/in'"),
        ([("one/mid", "one/low"), ("one/mid", "one/low")], r"twice: \('mid', 'low'\)"),
    ],
    ids=str,
)
def test_wrong_pairs_in_nested_models(pairs, message):
    inner = [dense(), dense()]
    for model, name in zip(inner, ("one", "two"), strict=True):
        model.name = name
    inputs = keras.Input((10,))
    x = keras.layers.Add()([model(inputs) for model in inner])
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(x), name="pair")
    with pytest.raises(ValueError, match=message):
        en.attach_feedback(model, pairs)


def test_attaching_the_same_pair_again():
    with pytest.raises(ValueError, match="already has the feedback units feedback_mid_low"):
        en.attach_feedback(en.attach_feedback(dense(), [("mid", "low")]), [("mid", "low")])


def test_layers_that_cannot_be_serialised():
    """They are shared, not copied: Lambda layers, classes without a configuration, and plain operations."""

    class Own(keras.layers.Layer):
        def __init__(self, units):
            super().__init__(name="own")
            self.dense = keras.layers.Dense(units)

        def call(self, x):
            return self.dense(x)

    inputs = keras.Input((10,), name="in")
    x = keras.layers.Lambda(lambda x: 2 * x, name="twice")(keras.ops.relu(inputs) + 1)
    model = keras.Model(inputs, keras.layers.Dense(2)(Own(4)(x)))
    regularised = en.attach_feedback(model, [("own", "twice")])
    x, y = samples(model)
    regularised.compile("sgd", "mse", run_eagerly=True)
    assert "feedback_own_twice" in regularised.train_on_batch(x, y, return_dict=True)
    np.testing.assert_array_equal(en.strip_feedback(regularised)(x), model(x))


def test_attaching_beside_a_nested_unit():
    """The unit inside stays, and both come off together."""
    model = nested(en.attach_feedback(dense(), [("mid", "low")], weight=1.0))
    regularised = en.attach_feedback(model, [("first", "outer_in")])
    x, _ = samples(regularised)
    regularised(x, training=True)
    assert len(regularised.losses) == 2
    assert not unit_paths(en.strip_feedback(regularised))


def test_a_unit_inside_a_nested_sequential():
    """A Sequential cannot hold a unit (it takes two inputs), but it can hold a functional model that does."""
    inner = en.attach_feedback(dense(), [("mid", "low")], weight=1.0)
    stack = keras.Sequential([keras.Input((10,)), keras.layers.Dense(10), inner])
    model = nested(stack)
    x, _ = samples(model)
    model(x, training=True)
    assert len(model.losses) == 1
    stripped = en.strip_feedback(model)
    assert not unit_paths(stripped)
    np.testing.assert_array_equal(stripped(x, training=False), model(x, training=False))


def shared_layer():
    inputs = keras.Input((6,), name="in")
    repeated = keras.layers.Dense(6, activation="relu", name="repeated")
    x = repeated(repeated(inputs))
    x = keras.layers.Dense(4, name="high")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="out")(x))


def test_a_model_that_calls_a_layer_twice():
    regularised = en.attach_feedback(shared_layer(), [("high", "in")])
    x, _ = samples(regularised)
    np.testing.assert_array_equal(en.strip_feedback(regularised)(x), regularised(x))
    with pytest.raises(ValueError, match=r"'repeated'.*called more than once"):
        en.attach_feedback(shared_layer(), [("repeated", "in")])


def several_outputs():
    inputs = keras.Input((5, 6), name="in")
    sequence, *state = keras.layers.LSTM(6, return_sequences=True, return_state=True, name="lstm")(inputs)
    x = keras.layers.Dense(6, name="high")(sequence)
    return keras.Model(inputs, [x, *state])


@pytest.mark.parametrize("pair", [("lstm", "in"), ("high", "lstm")])
def test_a_layer_with_several_outputs(pair):
    with pytest.raises(ValueError, match=r"'lstm'.*several outputs"):
        en.attach_feedback(several_outputs(), [pair])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(x)


@pytest.mark.parametrize("function", [lambda m: en.attach_feedback(m, [("a", "b")]), en.strip_feedback])
@pytest.mark.parametrize("built", [False, True])
def test_subclassed_models(function, built):
    model = Subclassed()
    if built:
        model(np.ones((1, 3), "float32"))
    with pytest.raises(ValueError, match=r"functional models.*'mine' \(Subclassed\).*FeedbackAgreement yourself"):
        function(model)


def test_a_sequential_that_is_not_built():
    with pytest.raises(ValueError, match=r"keras\.Input as its first layer"):
        en.attach_feedback(keras.Sequential([keras.layers.Dense(2)]), [("a", "b")])


@pytest.mark.parametrize("function", [lambda m: en.attach_feedback(m, [("a", "b")]), en.strip_feedback])
def test_objects_that_are_no_functional_model(function):
    for value in (keras.layers.Dense(2), keras.Sequential([keras.layers.Dense(2)]), "model"):
        with pytest.raises(ValueError, match="functional models"):
            function(value)


def test_a_unit_inside_a_layer_of_another_class():
    @keras.saving.register_keras_serializable("tests_feedback")
    class Hidden(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = keras.layers.Dense(4)
            self.unit = FeedbackAgreement(generator="conv", name="within")

        def call(self, x, training=None):
            return self.unit([self.dense(x), x], training=training)

    inputs = keras.Input((6,))
    model = keras.Model(inputs, Hidden()(inputs))
    model(np.ones((2, 6), "float32"), training=True)
    with pytest.raises(ValueError, match="within cannot be removed"):
        en.strip_feedback(model)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("nowhere", "low"), r"dense_net has no layer 'nowhere'\. Its layers: in, low, mid"),
        (("mid", "nowhere"), "dense_net has no layer 'nowhere'"),
        (("low", "mid"), r"'mid' is not computed before.*'low': a pair is \(higher, lower\)"),
        (("in", "low"), r"'low' is not computed before.*'in'"),
        (("mid", "mid"), "'mid'.*itself|not computed before|higher"),
    ],
)
def test_wrong_pairs(pair, message):
    with pytest.raises(ValueError, match=message):
        en.attach_feedback(dense(), [pair])


def test_a_pair_twice():
    with pytest.raises(ValueError, match=r"twice: \('mid', 'low'\)"):
        en.attach_feedback(dense(), [("mid", "low"), ("mid", "low")])


@pytest.mark.parametrize("pairs", [("mid", "low"), [("mid", "low", "high")], [("mid",)], ["mid"]], ids=str)
def test_pairs_that_are_no_pairs(pairs):
    """Most likely a pair of brackets is missing."""
    with pytest.raises(ValueError, match="pair"):
        en.attach_feedback(dense(), pairs)


def test_no_pairs():
    model = dense()
    x, _ = samples(model)
    regularised = en.attach_feedback(model, [])
    assert not units(regularised)
    np.testing.assert_array_equal(regularised(x), model(x))


def test_shapes_that_the_generator_cannot_connect():
    inputs = keras.Input((16, 16, 3), name="in")
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same", name="far")(inputs)
    model = keras.Model(inputs, x)
    with pytest.raises(ValueError, match="keeps or doubles the size"):
        en.attach_feedback(model, [("far", "in")])


def test_a_failed_attachment_leaves_the_model_alone():
    model = sequential()
    x, _ = samples(model)
    before = model(x, training=False)
    with pytest.raises(ValueError, match="no layer"):
        en.attach_feedback(model, [("mid", "low"), ("high", "nowhere")])
    np.testing.assert_array_equal(model(x, training=False), before)
    assert not unit_paths(model)
