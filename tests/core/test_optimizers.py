"""AdamL2: Adam with the penalty's gradient, and the reload of a model compiled with it."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.optimizers import AdamL2


def _model():
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    )


def _fitted(optimizer, regularise=None, **options):
    keras.utils.set_random_seed(0)
    model = _model()
    x, y = np.random.default_rng(0).normal(size=(2, 64, 4)).astype("float32")
    if regularise:
        for weight in model.trainable_variables:
            weight.regularizer = keras.regularizers.L2(regularise / 2)
    model.compile(optimizer, "mse", **{"run_eagerly": True, **options})
    history = model.fit(x, y[:, :2], batch_size=16, epochs=2, shuffle=False, verbose=0)
    return model, history.history["loss"]


def test_equals_a_regulariser_on_every_weight_except_in_the_logged_loss():
    """Batch normalisations and biases included. A regulariser's loss is part of the logged loss, the penalty is not."""
    (ours, clean), (theirs, mixed) = _fitted(AdamL2(0.01, l2=0.3)), _fitted(keras.optimizers.Adam(0.01), 0.3)
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-5)
    assert mixed[0] > clean[0] + 0.1


def test_no_penalty_is_adam():
    for one, other in zip(
        _fitted(AdamL2(0.01, l2=0.0))[0].weights, _fitted(keras.optimizers.Adam(0.01))[0].weights, strict=True
    ):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_the_penalty_is_not_decoupled():
    """Through Adam's moments the first step is the learning rate whatever the penalty's size."""
    variable = keras.Variable(np.array([2.0, 4.0], "float32"))
    AdamL2(0.1, l2=0.5).apply([np.zeros(2, "float32")], [variable])
    np.testing.assert_allclose(variable.numpy(), [1.9, 3.9], rtol=1e-5)


@pytest.mark.ci
def test_a_compiled_model_reloads(tmp_path):
    model, _ = _fitted(
        AdamL2(keras.optimizers.schedules.PiecewiseConstantDecay([5], [0.1, 0.01]), l2=0.25), run_eagerly=False
    )
    model.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, AdamL2)
    assert loaded.optimizer.l2 == 0.25
    assert int(loaded.optimizer.iterations) == 8


@pytest.mark.parametrize("l2", [-1e-3, float("nan")])
def test_a_negative_penalty_is_refused(l2):
    with pytest.raises(ValueError, match="l2 must be a finite number of at least 0"):
        AdamL2(l2=l2)
