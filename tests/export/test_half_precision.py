"""Models trained in half precision are exported in float32: rebuilt, with the trained weights, and compared."""

import itertools
import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.export import export_model
from encapnet_tf.export.artefacts.full_precision import half_precision
from encapnet_tf.export.artefacts.inference import inference_model
from encapnet_tf.export.verification.contents import Contents
from encapnet_tf.export.verification.parity import Parity
from encapnet_tf.export.verification.runtimes import LiteModel
from encapnet_tf.export.verification.samples import Samples
from encapnet_tf.trainers.commands import cli
from encapnet_tf.trainers.evaluation.predictions import saved_model
from encapnet_tf.trainers.runs.errors import UserError

import encapnet_tf as en

POLICIES = ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"]
# Relative differences of a network of a few layers; float16 has 11 significant bits, bfloat16 8.
APART = {"float16": 4e-3, "bfloat16": 3e-2}
images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), np.uint8)


class Own(keras.layers.Layer):
    """Layer that is not registered, and whose part has the default policy."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units, self.dense = units, keras.layers.Dense(units)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Unlisted(keras.layers.Layer):
    """Layer whose configuration lacks an argument."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(units)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return super().get_config()


class OwnLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.mean(y_pred, axis=-1)


def own_activation(x):
    return keras.ops.tanh(x)


def capsules():
    network = {"depths": (0,), "capsule_dims": (2,), "strides": (2,), "num_capsules": 4, "feedback": "half"}
    return en.models.EncapNet((8, 8, 1), 3, include_rescaling=True, **network)


def of(*layers, dtype=None):
    """Build a classifier of given layers, with a head that everything else depends on."""
    inputs = keras.Input((8, 8, 1), dtype=dtype)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(x)))


def nested():
    """Build a model of a functional model with a Lambda layer, compiled with a loss of the user's own, and a stack."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, name="convolution")(inputs)
    inner = keras.Model(inputs, keras.layers.Lambda(lambda x: 2 * x)(x), name="inner")
    inner.compile("sgd", OwnLoss())
    stack = keras.Sequential([keras.Input((6, 6, 4)), keras.layers.BatchNormalization()], name="stack")
    return of(inner, stack)


def normalized():
    normalization = keras.layers.Normalization()
    normalization.adapt(images.astype("float32"))
    layers = [normalization, keras.layers.Dropout(0.5), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    return keras.Sequential([keras.Input((8, 8, 1)), *layers])


def shared():
    dense = keras.layers.Dense(1, activation=own_activation)
    return of(dense, dense)


NETWORKS = {
    "capsules": capsules,
    "convolution": lambda: of(keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(), keras.layers.ReLU()),
    "own layer": lambda: of(Own()),
    "operations": lambda: of(keras.ops.relu, lambda x: keras.ops.cast(2 * x, "float16")),
    "lambda": lambda: of(keras.layers.Lambda(lambda x: keras.ops.tanh(x))),
    "nested": nested,
    "normalization": normalized,
    "shared": shared,
    "wrapped": lambda: of(keras.layers.TimeDistributed(keras.layers.Dense(2))),
    "half input": lambda: of(dtype="float16"),
}


def randomized(model):
    """Give a model's weights values that every copy must have: none at its initial value, variances positive."""
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    return model


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        *((name, "mixed_float16") for name in NETWORKS),
        *(
            pytest.param(*row, marks=pytest.mark.ci)
            for row in itertools.product(("capsules", "operations"), POLICIES[1:])
        ),
    ],
)
def test_rebuilt_in_float32(name, policy):
    keras.config.set_dtype_policy(policy)
    model = randomized(NETWORKS[name]())
    half = policy.removeprefix("mixed_")
    assert half in half_precision(model)
    network = inference_model(model)
    assert keras.config.dtype_policy().name == policy
    assert half_precision(network) is None
    assert {weight.dtype for weight in network.weights} <= {"float32", "int64"}
    assert network.input.dtype == "float32"
    assert all(tensor.dtype == "float32" for tensor in network.outputs)
    for weight, trained in zip(network.weights, en.strip_feedback(model).weights, strict=True):
        assert weight is not trained
        np.testing.assert_array_equal(weight, np.asarray(trained).astype(weight.dtype), weight.path)
    inputs = images.astype("float32")
    expected = model.predict(inputs, verbose=0).astype("float32")
    difference = np.abs(network.predict(inputs, verbose=0)["lengths"] - expected).max()
    assert difference <= APART[half] * np.abs(expected).max()
    assert half in half_precision(model)  # the trained model is as it was


def test_a_network_in_float32_shares_its_weights():
    model = NETWORKS["nested"]()
    assert half_precision(model) is None
    network = inference_model(model)
    assert all(ours is theirs for ours, theirs in zip(network.weights, model.weights, strict=True))


def test_a_layer_that_cannot_be_rebuilt():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = of(Unlisted(2, name="mine"))
    with pytest.raises(UserError, match=r"rebuilt in float32.*'mine' \(Unlisted\).*get_config"):
        inference_model(model)


@pytest.fixture
def _quick(monkeypatch):
    """Time one call instead of thirty."""
    monkeypatch.setattr("encapnet_tf.export.verification.parity._TIMED_CALLS", 1)


@pytest.mark.ci
@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
@pytest.mark.usefixtures("runtimes_in_this_process", "_quick")
def test_exported_whole(policy, tmp_path):
    """SavedModel and all TFLite files, with the trained model's difference in the report and in the model card."""
    keras.config.set_dtype_policy(policy)
    half = policy.removeprefix("mixed_")
    model = randomized(NETWORKS["convolution"]())
    model.compile("sgd", OwnLoss(), metrics=[keras.metrics.MeanMetricWrapper(own_activation)])
    inputs = images.astype("float32")
    trained = model.predict(inputs, verbose=0).astype("float32")
    path = export_model(model, images, trained.argmax(axis=1), name="half", folder=tmp_path)
    report = json.loads((path / "parity.json").read_text())
    rows = {row["what"]: row for row in report["rows"]}
    assert report["half_precision"] == half
    assert report["reference"] == "predict of the trained network rebuilt in float32"
    exported = tf.saved_model.load(str(path / "saved_model" / "1")).signatures["serving_default"]
    lengths = exported(images=tf.constant(inputs))["lengths"].numpy()
    difference = rows[f"Keras in {half}"]["difference"]
    assert difference == pytest.approx(np.abs(lengths - trained).max(), abs=2e-6)
    assert 0 < difference <= APART[half]
    assert rows[f"Keras in {half}"]["accuracy"] == 1
    for what, row in rows.items():
        if what.startswith("SavedModel, "):
            assert row["difference"] <= 1e-5, what
    assert rows["LiteRT float32"]["difference"] <= 1e-4
    for variant in ("", "_float16", "_dynamic", "_int8"):
        file = path / f"half{variant}.tflite"
        assert not Contents.of_lite(file).types & {"BFLOAT16"}
        assert np.abs(LiteModel(file)(inputs)["lengths"] - trained).max() < 0.05
    card = (path / "model_card.md").read_text()
    assert f"was trained in {half}; the network is exported in float32" in card
    assert f"differ by up to {difference:.1e}" in card


def samples_of(labels):
    inputs = images.astype("float32")
    return Samples(images, inputs, labels, calibration=inputs)


@pytest.mark.usefixtures("_quick")
def test_an_export_less_accurate_than_the_trained_model_is_a_miss(monkeypatch):
    """The trained model's accuracy is the measure, and outputs that are not finite are a miss too."""
    keras.config.set_dtype_policy("mixed_float16")
    model = randomized(NETWORKS["convolution"]())
    labels = model.predict(images.astype("float32"), verbose=0).argmax(axis=1)
    network = inference_model(model)
    assert Parity(model, network, samples_of(labels)).holds
    network.layers[-1].set_weights([-weight for weight in network.layers[-1].get_weights()])
    parity = Parity(model, network, samples_of(labels))
    assert [row.what for row in parity.rows if not row.holds] == ["Keras in float16"]
    model.layers[-1].bias.assign([np.nan] * 3)
    parity = Parity(model, inference_model(randomized(NETWORKS["convolution"]())), samples_of(None))
    assert [row.what for row in parity.rows if not row.holds] == ["Keras in float16"]


def test_a_file_that_names_what_is_not_registered(tmp_path):
    """A loss is not needed for an export; a layer is, and the error says so."""
    model = NETWORKS["convolution"]()
    model.compile("sgd", OwnLoss())
    model.save(tmp_path / "loss.keras")
    assert not saved_model(tmp_path / "loss.keras").compiled
    NETWORKS["own layer"]().save(tmp_path / "layer.keras")
    with pytest.raises(UserError, match=r"layer\.keras.*custom_objects.*'Own'"):
        saved_model(tmp_path / "layer.keras")


@pytest.mark.ci
@pytest.mark.usefixtures("runtimes_in_this_process", "_quick")
def test_a_run_in_half_precision(tmp_path, monkeypatch, capsys):
    """Trained and exported by the command, which says so."""
    monkeypatch.chdir(tmp_path)
    network = ["--num_capsules=4", "--depths=0", "--capsule_dims=2", "--strides=2", "--feedback=half"]
    for arguments in (
        ["train", "--precision=float16", "--epochs=1", "--run_dir=run", *network],
        ["export", "run", "--name=half", "--images=40", "--tflite=float32"],
    ):
        monkeypatch.setattr(sys, "argv", ["encapnet", *arguments])
        keras.config.set_dtype_policy("float32")
        with pytest.raises(SystemExit) as exit:
            cli.main()
        output = capsys.readouterr()
        assert not exit.value.code, output.err
    assert "Keras in float16" in output.out
    assert "The model was trained in float16" in output.out
    assert json.loads((tmp_path / "exports" / "half" / "parity.json").read_text())["holds"]
