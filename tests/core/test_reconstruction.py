"""Decoders on capsule networks: the loss, saving, removal, reconstructions, and errors."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.layers import Reconstruction
from encapnet_tf.model_classes.capsule_model import CapsuleModel

SHAPE, CLASSES, DIM = (8, 6, 2), 3, 4
LABELS = np.array([0, 1, 2, 0])


def network(include_rescaling=False):
    return en.models.EncapNet(
        SHAPE, CLASSES, (0,), (DIM,), (2,), 4, routing="master", include_rescaling=include_rescaling
    )


def images(seed=3):
    return np.random.default_rng(seed).uniform(size=(4, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def model():
    """A compiled network with a dense decoder."""
    keras.utils.set_random_seed(1)
    model = network()
    model.compile("adam", en.losses.MarginLoss(), metrics=["accuracy"])
    return en.attach_reconstruction(model)


def mean_squared_errors(model, x, factors):
    """Return the mean squared errors (batch,) of the reconstructions from capsules (batch, classes, dim) * factors."""
    capsules = keras.Model(model.input, model.get_layer("class_capsules").output)(x).numpy()
    decoded = model.reconstruction.decoder((capsules * factors[:, :, None]).reshape(len(x), -1))
    return np.mean((np.asarray(decoded) - x) ** 2, axis=(1, 2, 3))


def margin_loss(model, x, y):
    return float(en.losses.MarginLoss()(y, model(x)))


def test_the_loss_masks_by_the_label_and_not_by_the_longest_capsule(model):
    x, lengths = images(), model(images())
    shortest = np.argmin(lengths, axis=1)
    errors = mean_squared_errors(model, x, np.eye(CLASSES)[shortest])
    assert not np.allclose(errors, mean_squared_errors(model, x, np.eye(CLASSES)[np.argmax(lengths, axis=1)]))
    assert model.reconstruction.weight == pytest.approx(0.0005 * 8 * 6 * 2)
    expected = margin_loss(model, x, shortest) + 0.048 * np.mean(errors)
    for training in (True, False):
        assert float(model.compute_loss(x, shortest, model(x), training=training)) == pytest.approx(expected, rel=1e-5)
    other_object = keras.ops.copy(model(x))  # the model is called again
    assert float(model.compute_loss(x, shortest, other_object, training=False)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("form", ["column", "one_hot", "mixed", "two"])
def test_forms_of_labels(model, form):
    x = images()
    rows = np.eye(CLASSES, dtype="float32")[LABELS]
    rows = {"mixed": 0.3 * rows + 0.7 * rows[::-1], "two": np.maximum(rows, rows[::-1])}.get(form, rows)
    labels = LABELS[:, None] if form == "column" else rows
    loss = model.compute_loss(x, labels, model(x), training=False)
    expected = margin_loss(model, x, labels) + 0.048 * np.mean(mean_squared_errors(model, x, rows))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_fit_evaluate_and_sample_weights(model):
    x, before = images(), [w.numpy() for w in model.reconstruction.weights]
    weights = np.array([1.0, 0.0, 2.0, 0.5], "float32")
    logs = model.evaluate(x, LABELS, sample_weight=weights, return_dict=True, verbose=0)
    errors = mean_squared_errors(model, x, np.eye(CLASSES)[LABELS])
    assert logs["reconstruction"] == pytest.approx(np.average(errors, weights=weights), rel=1e-5)
    margin = float(en.losses.MarginLoss()(LABELS, model(x), sample_weight=weights))
    assert logs["loss"] == pytest.approx(margin + 0.048 * np.mean(weights * errors), rel=1e-5)
    history = model.fit(x, LABELS, epochs=3, batch_size=2, verbose=0).history
    assert history["reconstruction"][-1] < history["reconstruction"][0]
    assert set(history) == {"loss", "accuracy", "reconstruction"}
    assert all(np.any(w != v.numpy()) for w, v in zip(before, model.reconstruction.weights, strict=True))


def test_save_and_reload(model, tmp_path):
    x = images()
    model.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    np.testing.assert_array_equal(en.reconstruct(loaded, x), en.reconstruct(model, x))
    losses = [float(m.compute_loss(x, LABELS, m(x), training=False)) for m in (loaded, model)]
    assert losses[0] == pytest.approx(losses[1])


def test_strip(model):
    x, stripped = images(), en.strip_reconstruction(model)
    np.testing.assert_array_equal(stripped(x), model(x))
    assert type(stripped) is CapsuleModel
    assert stripped.count_params() == network().count_params() < model.count_params()
    assert set(stripped.fit(x, LABELS, verbose=0).history) == {"loss", "accuracy"}
    with pytest.raises(ValueError, match=r"has no decoder\. Add one with attach_reconstruction"):
        en.reconstruct(stripped, x)


def test_units_and_decoder_go_together(model):
    x = images()
    regularised = en.attach_feedback(model, [("class_capsules", "stem_relu")], generator=Upscale())
    assert regularised.reconstruction is model.reconstruction
    np.testing.assert_array_equal(en.reconstruct(en.strip_feedback(regularised), x), en.reconstruct(model, x))
    np.testing.assert_array_equal(en.strip_reconstruction(regularised)(x), model(x))


@keras.saving.register_keras_serializable("tests_reconstruction")
class Upscale(keras.layers.Layer):
    """Generator from class capsules to the stem's output."""

    def build(self, shape):
        self.dense = keras.layers.Dense(8 * 6 * 4)
        self.dense.build((None, shape[1] * shape[2]))

    def call(self, capsules):
        return keras.ops.reshape(self.dense(keras.layers.Flatten()(capsules)), (-1, 8, 6, 4))

    def compute_output_shape(self, shape):
        return (shape[0], 8, 6, 4)


@pytest.mark.parametrize(("shape", "small"), [((48, 48, 2), 64), ((28, 20, 1), 6 * 5), ((8, 8, 3), 9)])
def test_convolutional_decoder_makes_images_of_any_size(shape, small):
    layer = Reconstruction(shape, "conv")
    layer.build((None, 5, 16))
    assert layer.decoder.get_layer("dense").units == small
    images = layer.decode(np.ones((2, 5, 16), "float32"))
    assert tuple(images.shape) == (2, *shape)
    assert 0 <= np.min(images) < np.max(images) <= 1


def test_white_is_255_in_a_model_that_rescales():
    x, model = images(), en.attach_reconstruction(network(include_rescaling=True), weight=2.0)
    assert (model.reconstruction.max_pixel, model.reconstruction.weight) == (255.0, 2.0)
    model.compile(loss=en.losses.MarginLoss())
    logs = model.evaluate(255 * x, LABELS, return_dict=True, verbose=0)
    decoded = en.reconstruct(model, 255 * x, labels=LABELS)
    assert logs["reconstruction"] == pytest.approx(np.mean((x - decoded) ** 2), rel=1e-5)


def test_reconstruct_moves_one_component(model):
    x = images()
    moved = en.reconstruct(model, x, component=2)
    assert moved.shape == (4, 11, *SHAPE)
    np.testing.assert_allclose(moved[:, 5], en.reconstruct(model, x), atol=1e-6)
    classes = np.argmax(model(x), axis=1)
    capsules = keras.Model(model.input, model.get_layer("class_capsules").output)(x).numpy()
    capsules[..., 2] += 0.25
    vectors = (capsules * np.eye(CLASSES)[classes][:, :, None]).reshape(4, -1)
    np.testing.assert_allclose(moved[:, 10], np.asarray(model.reconstruction.decoder(vectors)), atol=1e-6)


def test_a_model_whose_output_is_its_capsules_keeps_the_name():
    inputs = keras.Input(SHAPE)
    capsules = en.layers.CapFC(CLASSES, DIM, name="capsules")(keras.layers.Conv2D(4, 3, name="conv")(inputs))
    own_decoder = keras.Sequential([keras.Input((CLASSES * DIM,)), keras.layers.Dense(8 * 6 * 2)])
    model = en.attach_reconstruction(keras.Model(inputs, capsules), "capsules", decoder=own_decoder)
    assert model.output_names == ["capsules"]
    model.compile(loss={"capsules": lambda y, capsules: keras.ops.mean(capsules, axis=(1, 2))})
    model.fit(images(), LABELS, verbose=0)
    copy = type(model).from_config(model.get_config())
    assert copy.output_names == ["capsules"]


@pytest.mark.ci
@pytest.mark.parametrize("precision", ["mixed_float16", "bfloat16"])
def test_half_precision(precision):
    keras.config.set_dtype_policy(precision)
    try:
        model = en.attach_reconstruction(network())
        model.compile("sgd", en.losses.MarginLoss(), jit_compile=precision == "bfloat16")
        loss = model.fit(images(), LABELS, verbose=0).history["loss"][0]
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(loss)


class OwnSteps(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


def own_steps():
    x = keras.Input(SHAPE)
    return OwnSteps(x, x)


def two_outputs():
    x = keras.Input(SHAPE)
    return keras.Model(x, [x, x])


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (network, {"capsules": "class_capsuls"}, "has no layer 'class_capsuls'. Pass capsules=NAME"),
        (network, {"capsules": "stem"}, r"expects capsules \(batch, capsules, capsule_dim\)"),
        (network, {"decoder": "deconv"}, "decoder must be one of 'dense', 'conv'"),
        (network, {"decoder": None}, "decoder must be 'dense', 'conv' or a Keras layer"),
        (network, {"decoder": keras.layers.Dense(7)}, r"the decoder makes outputs of shape \(None, 7\)"),
        (network, {"weight": -1.0}, "weight must be a finite number of at least 0"),
        (network, {"weight": float("nan")}, "weight must be a finite number"),
        (network, {"max_pixel": 0}, "max_pixel must be more than 0"),
        (lambda: en.attach_reconstruction(network()), {}, "has a layer 'reconstruction' already"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), {}, "Give this Sequential a keras.Input"),
        (lambda: None, {}, "Decoders are attached to and removed from functional models"),
        (own_steps, {}, "training steps of its own, OwnSteps"),
        (two_outputs, {}, "expects a model with one input"),
    ],
)
def test_what_cannot_be_attached(make, options, message):
    with pytest.raises(ValueError, match=message):
        en.attach_reconstruction(make(), **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": np.zeros((2, 6, 8, 2))}, r"images must be of shape \(batch, 8, 6, 2\)"),
        ({"component": DIM}, "component must be from 0 to 3"),
        ({"component": 1.5}, "component must be an integer"),
        ({"values": [0.1]}, "pass component=INDEX"),
        ({"component": 0, "values": []}, "values must be a list of finite numbers"),
        ({"component": 0, "values": [np.nan]}, "values must be a list of finite numbers"),
    ],
)
def test_what_cannot_be_reconstructed(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        en.reconstruct(model, **{"images": images(), **arguments})


def test_no_labels(model):
    with pytest.raises(ValueError, match="received no labels"):
        model.compute_loss(images(), None, model(images()))
