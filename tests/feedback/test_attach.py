"""attach_feedback on functional models of all kinds, and strip_feedback on the results."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.layers import FeedbackAgreement


def dense():
    inputs = keras.Input((10,), name="in")
    x = keras.layers.Dense(8, activation="relu", name="low")(inputs)
    x = keras.layers.Dense(6, activation="relu", name="mid")(x)
    x = keras.layers.Dropout(0.5, name="drop")(x)
    x = keras.layers.Dense(4, activation="relu", name="high")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="out")(x), name="dense_net")


def sequential():
    return keras.Sequential(
        [
            keras.Input((10,), name="in"),
            keras.layers.Dense(8, activation="relu", name="low"),
            keras.layers.Dense(6, activation="relu", name="mid"),
            keras.layers.Dense(4, activation="relu", name="high"),
            keras.layers.Dense(2, name="out"),
        ],
        name="stack",
    )


def transformer():
    inputs = keras.Input((8, 12), name="in")
    x = inputs
    for i in range(2):
        attended = keras.layers.MultiHeadAttention(2, 6, name=f"attention_{i}")(x, x)
        x = keras.layers.LayerNormalization(name=f"norm_{i}")(keras.layers.Add(name=f"add_{i}")([x, attended]))
        x = keras.layers.Dense(12, activation="relu", name=f"mix_{i}")(x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="out")(x), name="transformer")


def convolutional():
    inputs = keras.Input((8, 8, 3), name="in")
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="low")(inputs)
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="mid")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(5, 3, strides=2, padding="same", activation="relu", name="high")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="out")(x), name="convolutional")


MODELS = {
    "dense": (dense, [("mid", "low"), ("high", "mid")]),
    "sequential": (sequential, [("mid", "low"), ("high", "mid")]),
    "transformer": (transformer, [("norm_0", "in"), ("mix_1", "mix_0")]),
    "convolutional": (convolutional, [("mid", "low"), ("high", "norm")]),
}


def samples(model, size=8):
    rng = np.random.default_rng(3)
    return rng.normal(size=(size, *model.input_shape[1:])).astype("float32"), rng.normal(size=(size, 2))


def units(model):
    return [layer for layer in model.layers if isinstance(layer, FeedbackAgreement)]


def unit_paths(model):
    """Return the paths of the units' variables."""
    return [variable.path for variable in model.variables if "feedback" in variable.path]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.ci] if name == "transformer" else []) for name in MODELS]
)
def test_two_lines_then_train_save_reload_strip(name, tmp_path):
    make, pairs = MODELS[name]
    model = make()
    regularised = en.attach_feedback(model, pairs, weight=0.5)
    assert [unit.name for unit in units(regularised)] == [f"feedback_{higher}_{lower}" for higher, lower in pairs]
    assert unit_paths(regularised)
    x, y = samples(model)
    expected = model(x, training=False)
    np.testing.assert_array_equal(regularised(x, training=False), expected)

    regularised.compile("adam", "mse", run_eagerly=True)
    history = regularised.fit(x, y, validation_data=(x, y), verbose=0).history
    assert set(history) == {"loss", "val_loss", *(unit.name for unit in units(regularised))}
    assert all(np.isfinite(values).all() for values in history.values())
    trained = regularised(x, training=False)
    assert np.any(trained != expected)
    np.testing.assert_array_equal(model(x, training=False), trained)  # the weights are shared with the model

    regularised.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x, training=False), trained)
    assert [unit.name for unit in units(loaded)] == [unit.name for unit in units(regularised)]

    loaded_output = loaded(x, training=False)
    stripped = en.strip_feedback(loaded)
    assert not units(stripped)
    assert not unit_paths(stripped)
    assert stripped.count_params() == model.count_params()
    np.testing.assert_array_equal(stripped(x, training=False), loaded_output)
    stripped.save(tmp_path / "stripped.keras")
    np.testing.assert_array_equal(en.load_model(tmp_path / "stripped.keras")(x, training=False), loaded_output)


def test_stripped_weights_are_shared():
    make, pairs = MODELS["convolutional"]
    regularised = en.attach_feedback(make(), pairs)
    stripped = en.strip_feedback(regularised)
    x, _ = samples(regularised)
    before = stripped(x, training=False)
    regularised.get_layer("out").bias.assign([1.0, -1.0])
    after = stripped(x, training=False)
    np.testing.assert_allclose(after - before, np.broadcast_to([1.0, -1.0], after.shape), atol=1e-5)
    np.testing.assert_array_equal(after, regularised(x, training=False))
    stripped.get_layer("out").bias.assign([0.0, 0.0])
    np.testing.assert_array_equal(regularised(x, training=False), before)


def test_stripping_leaves_the_original_as_it_was():
    """Units, optimizer state and compilation; training goes on, with its moments."""
    regularised = en.attach_feedback(dense(), [("mid", "low")])
    regularised.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], run_eagerly=True)
    x, y = samples(regularised)
    regularised.fit(x, y, epochs=2, verbose=0)
    optimizer = regularised.optimizer
    state = [np.array(variable) for variable in optimizer.variables]
    en.strip_feedback(regularised)
    assert regularised.optimizer is optimizer
    for variable, old in zip(optimizer.variables, state, strict=True):
        np.testing.assert_array_equal(variable, old)
    assert len(units(regularised)) == 1
    history = regularised.fit(x, y, verbose=0).history
    assert set(history) == {"loss", "mae", "feedback_mid_low"}
    assert int(optimizer.iterations) == 3


@pytest.mark.parametrize("make", [dense, sequential])
def test_compiled_alike(make):
    """A compiled model stays compiled, with a new optimizer of the same settings."""
    model = make()
    model.compile(keras.optimizers.SGD(0.25), "mse", metrics=["mae"], run_eagerly=True)
    x, y = samples(model)
    regularised = en.attach_feedback(model, [("mid", "low")])
    assert regularised.compiled
    assert float(regularised.optimizer.learning_rate) == 0.25
    assert regularised.optimizer is not model.optimizer
    assert set(regularised.fit(x, y, verbose=0).history) == {"loss", "mae", "feedback_mid_low"}
    stripped = en.strip_feedback(regularised)
    assert stripped.compiled
    assert set(stripped.evaluate(x, y, return_dict=True, verbose=0)) == {"loss", "mae"}
    assert set(stripped.fit(x, y, verbose=0).history) == {"loss", "mae"}
    assert not en.attach_feedback(dense(), [("mid", "low")]).compiled


def test_the_original_is_not_regularised():
    model = dense()
    en.attach_feedback(model, [("mid", "low")])
    assert not units(model)
    model(samples(model)[0], training=True)
    assert model.losses == []


def test_an_input_as_the_lower_layer():
    model = dense()
    regularised = en.attach_feedback(model, [("low", "in")], extractor=None)
    (unit,) = units(regularised)
    assert unit.input[1].shape == (None, 10)
    x, y = samples(model)
    regularised.compile("sgd", "mse", run_eagerly=True)
    assert np.isfinite(regularised.fit(x, y, verbose=0).history["feedback_low_in"]).all()


def test_several_pairs_at_one_layer():
    regularised = en.attach_feedback(dense(), [("high", "low"), ("high", "mid"), ("mid", "in")], weight=1.0)
    assert {unit.name for unit in units(regularised)} == {"feedback_high_low", "feedback_high_mid", "feedback_mid_in"}
    regularised(samples(regularised)[0], training=True)
    assert len(regularised.losses) == 3


def test_attaching_twice():
    regularised = en.attach_feedback(en.attach_feedback(dense(), [("mid", "low")]), [("high", "mid")])
    assert [unit.name for unit in units(regularised)] == ["feedback_mid_low", "feedback_high_mid"]
    regularised(samples(regularised)[0], training=True)
    assert len(regularised.losses) == 2
    assert not units(en.strip_feedback(regularised))


def test_the_unit_compares_the_named_layers():
    """Both as the layers compute them, before the dropout that follows."""
    model = dense()
    regularised = en.attach_feedback(model, [("mid", "low")], extractor=None, weight=1.0)
    (unit,) = units(regularised)
    x, _ = samples(model)
    higher, lower = (keras.Model(model.input, model.get_layer(name).output)(x) for name in ("mid", "low"))
    expected = float(unit.agreement(higher, lower, training=True))
    regularised(x, training=True)
    assert [float(loss) for loss in regularised.losses] == pytest.approx([expected], rel=1e-5)


def test_options_reach_the_units():
    regularised = en.attach_feedback(dense(), [("mid", "low")], weight=2.0, cost="euclidean", extractor=None)
    (unit,) = units(regularised)
    assert (unit.weight, unit.cost, unit.extractor) == (2.0, "euclidean", None)


def test_stripping_a_model_without_units():
    model = dense()
    x, _ = samples(model)
    np.testing.assert_array_equal(en.strip_feedback(model).predict(x, verbose=0), model(x, training=False))


RESNET = [("conv3_block1_out", "conv2_block3_out"), ("conv4_block1_out", "conv3_block4_out")]
MOBILENET = [
    ("expanded_conv_2_add", "expanded_conv_1_project_bn"),
    ("expanded_conv_4_add", "expanded_conv_3_project_bn"),
]


@pytest.mark.parametrize(
    ("make", "pairs"),
    [
        pytest.param(keras.applications.ResNet50, RESNET, id="ResNet50", marks=pytest.mark.ci),
        pytest.param(keras.applications.MobileNetV3Small, MOBILENET, id="MobileNetV3Small", marks=pytest.mark.ci),
    ],
)
def test_a_network_of_keras_applications(make, pairs, tmp_path):
    """Two lines regularise it: it trains, saves, reloads and strips."""
    model = make(input_shape=(32, 32, 3), weights=None, classes=2)
    regularised = en.attach_feedback(model, pairs)
    assert len(units(regularised)) == 2
    rng = np.random.default_rng(0)
    x, y = 255 * rng.random((4, 32, 32, 3)).astype("float32"), rng.integers(2, size=4)
    np.testing.assert_array_equal(regularised(x, training=False), model(x, training=False))

    regularised.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    logs = regularised.train_on_batch(x, y, return_dict=True)
    assert set(logs) == {"loss", *(unit.name for unit in units(regularised))}
    assert all(np.isfinite(value) for value in logs.values())
    trained = np.asarray(regularised(x, training=False))

    regularised.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x, training=False), trained)
    stripped = en.strip_feedback(loaded)
    assert not unit_paths(stripped)
    assert stripped.count_params() == model.count_params()
    np.testing.assert_array_equal(stripped(x, training=False), trained)
