"""Masks pass a unit, and padded tokens are zeroed on both sides before they are compared."""

import warnings

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.layers import FeedbackAgreement

TOKENS = np.array([[3, 1, 2, 0, 0, 0], [5, 4, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6], [2, 2, 1, 3, 0, 0]])
MASK = TOKENS != 0


def embedded():
    inputs = keras.Input((6,), dtype="int32", name="tokens")
    low = keras.layers.Embedding(7, 5, mask_zero=True, name="low")(inputs)
    x = keras.layers.Dense(4, activation="relu", name="high")(low)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x)))


def masking():
    inputs = keras.Input((6, 3), name="tokens")
    low = keras.layers.Dense(5, name="low")(keras.layers.Masking()(inputs))
    x = keras.layers.Dense(4, activation="relu", name="high")(low)
    return keras.Model(inputs, keras.layers.LSTM(2)(x))


INPUTS = {embedded: TOKENS, masking: MASK[..., None] * np.random.default_rng(0).normal(size=(4, 6, 3))}


@pytest.mark.parametrize("make", INPUTS, ids=lambda make: make.__name__)
def test_the_mask_passes(make, tmp_path):
    model, x = make(), INPUTS[make]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Keras warns where a layer destroys a mask
        regularised = en.attach_feedback(model, [("high", "low")])
    regularised.compile("sgd", "mse", run_eagerly=True)
    assert np.isfinite(regularised.train_on_batch(x, np.ones((4, 2)), return_dict=True)["feedback_high_low"])
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(regularised.predict(x, verbose=0), expected)
    regularised.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)
    np.testing.assert_array_equal(en.strip_feedback(loaded).predict(x, verbose=0), expected)


def junk(rng, width):
    """Return features (4, 6, width) of the four sequences, twice: with different values in the padded tokens."""
    features = rng.normal(size=(2, 4, 6, width)).astype("float32")
    return np.where(MASK[..., None], features[0], features)


@pytest.mark.parametrize("masks", [[MASK, MASK], [None, MASK], [MASK, None]], ids=["both", "lower", "higher"])
@pytest.mark.parametrize("parts", [{}, {"extractor": None}, {"generator": None, "extractor": None}], ids=str)
def test_padded_tokens_do_not_matter(masks, parts, rng):
    unit = FeedbackAgreement(**{"generator": "conv", **parts})
    higher, lower = junk(rng, 5), junk(rng, 5)
    values = [float(unit.agreement(*sides, training=True, mask=masks)) for sides in zip(higher, lower, strict=True)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    unmasked = [float(unit.agreement(*sides, training=True)) for sides in zip(higher, lower, strict=True)]
    assert abs(unmasked[0] - unmasked[1]) > 1e-3 * abs(unmasked[0])
    diagnoses = [unit.diagnose(*sides, mask=masks) for sides in zip(higher, lower, strict=True)]
    assert diagnoses[0] == pytest.approx(diagnoses[1], rel=1e-4, abs=1e-6)


def test_padded_tokens_are_compared_as_zeros(rng):
    unit = FeedbackAgreement(generator=None, extractor=None)
    higher, lower = rng.normal(size=(2, 4, 6, 5)).astype("float32")
    expected = float(unit.agreement(higher * MASK[..., None], lower * MASK[..., None], training=True))
    assert float(unit.agreement(higher, lower, training=True, mask=[MASK, MASK])) == pytest.approx(expected, rel=1e-6)
    lower[~MASK] = np.nan  # whatever padding holds
    assert float(unit.agreement(higher, lower, training=True, mask=[MASK, MASK])) == pytest.approx(expected, rel=1e-6)


def test_the_call_and_the_watch_take_the_mask():
    model = en.attach_feedback(embedded(), [("high", "low")], weight=1.0, extractor=None)
    unit = model.get_layer("feedback_high_low")
    low = model.get_layer("low")(TOKENS)
    high = model.get_layer("high")(low)
    expected = float(unit.agreement(high, low, training=True, mask=[MASK, MASK]))
    model(TOKENS, training=True)
    assert [float(loss) for loss in model.losses] == pytest.approx([expected], rel=1e-5)
    assert float(unit.agreement(high, low, training=True)) != pytest.approx(expected, rel=1e-3)

    watch = en.callbacks.CollapseWatch(TOKENS)
    watch.set_model(model)
    watch.on_train_begin()
    logs: dict = {}
    watch.on_epoch_end(0, logs)
    assert logs["feedback_high_low_divergence"] == pytest.approx(expected, rel=1e-4)


def test_a_mask_of_another_length_is_of_another_layer(rng):
    """Where the higher layer has half the tokens, its generator's output has the lower layer's mask alone."""
    unit = FeedbackAgreement(generator="conv")
    higher = rng.normal(size=(4, 3, 5)).astype("float32")
    values = [
        float(unit.agreement(higher, lower, training=True, mask=[np.ones((4, 3), bool), MASK]))
        for lower in junk(rng, 5)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
