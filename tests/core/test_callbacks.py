"""SpreadMarginSchedule: the margin that the training step of each epoch uses."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.callbacks import SpreadMarginSchedule

LENGTHS = np.array([[0.9, 0.2, 0.3], [0.4, 0.5, 0.1]], "float32")
LABELS = np.array([0, 2])


def expected_loss(margin):
    return np.mean(
        [
            sum(max(0, margin - (row[label] - row[j])) ** 2 for j in range(3) if j != label)
            for row, label in zip(LENGTHS, LABELS, strict=True)
        ]
    )


def still_model(loss, **options):
    """Return a model without weights that returns its input: `fit` logs the loss of the input."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Rescaling(1.0)])
    model.compile("sgd", loss, **(options or {"run_eagerly": True}))
    return model


def logged_losses(model, callback, **options):
    return model.fit(LENGTHS, LABELS, verbose=0, callbacks=[callback], **options).history["loss"]


@pytest.mark.parametrize("compiled", [{"run_eagerly": True}, {"jit_compile": False}, {"jit_compile": True}], ids=str)
def test_margin_of_each_epoch(compiled):
    model = still_model(en.losses.SpreadLoss(0.5), **compiled)
    losses = logged_losses(model, SpreadMarginSchedule(0.2, 0.9), epochs=8)
    np.testing.assert_allclose(losses, [expected_loss(m) for m in np.linspace(0.2, 0.9, 8)], rtol=1e-5)
    assert model.loss.margin == pytest.approx(0.9)


def test_shorter_than_the_training():
    losses = logged_losses(still_model(en.losses.SpreadLoss()), SpreadMarginSchedule(0.3, 0.6, epochs=3), epochs=5)
    np.testing.assert_allclose(losses, [expected_loss(m) for m in (0.3, 0.45, 0.6, 0.6, 0.6)], rtol=1e-5)


def test_resumed_training_continues_the_schedule():
    model = still_model(en.losses.SpreadLoss())
    losses = logged_losses(model, SpreadMarginSchedule(0.2, 0.6), epochs=5, initial_epoch=3)
    np.testing.assert_allclose(losses, [expected_loss(m) for m in (0.5, 0.6)], rtol=1e-5)


def test_one_epoch():
    model = still_model(en.losses.SpreadLoss(0.9))
    np.testing.assert_allclose(
        logged_losses(model, SpreadMarginSchedule(0.2, 0.6), epochs=1), [expected_loss(0.2)], rtol=1e-5
    )


def test_falling_margin():
    losses = logged_losses(still_model(en.losses.SpreadLoss()), SpreadMarginSchedule(0.8, 0.4), epochs=3)
    np.testing.assert_allclose(losses, [expected_loss(m) for m in (0.8, 0.6, 0.4)], rtol=1e-5)


def test_one_output_of_several():
    """Losses of a model with several outputs come as a dictionary."""
    inputs = keras.Input((3,))
    outputs = {"a": keras.layers.Rescaling(1.0)(inputs), "b": keras.layers.Rescaling(2.0)(inputs)}
    model = keras.Model(inputs, outputs)
    spread = en.losses.SpreadLoss(0.5)
    model.compile("sgd", {"a": spread, "b": "mse"})
    model.fit(LENGTHS, {"a": LABELS, "b": LENGTHS}, epochs=2, verbose=0, callbacks=[SpreadMarginSchedule(0.2, 0.7)])
    assert spread.margin == pytest.approx(0.7)


def test_reloaded_model(tmp_path):
    """The schedule acts on the loss that the loaded model was compiled with."""
    still_model(en.losses.SpreadLoss(0.5)).save(tmp_path / "model.keras")
    model = en.load_model(tmp_path / "model.keras")
    losses = logged_losses(model, SpreadMarginSchedule(0.2, 0.9), epochs=2)
    np.testing.assert_allclose(losses, [expected_loss(0.2), expected_loss(0.9)], rtol=1e-5)


@pytest.mark.parametrize("loss", ["mse", en.losses.MarginLoss()], ids=["string", "margin loss"])
def test_other_loss_raises(loss):
    with pytest.raises(ValueError, match="SpreadLoss"):
        still_model(loss).fit(LENGTHS, LENGTHS, verbose=0, callbacks=[SpreadMarginSchedule()])


@pytest.mark.parametrize("changes", [{"start": 0}, {"end": 1.5}, {"start": -0.2}, {"end": float("nan")}], ids=str)
def test_wrong_margin_raises(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        SpreadMarginSchedule(**changes)
