"""Two replicas equal one device on the same global batch, feedback units included. One mirrored test a process."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from encapnet_tf.layers import FeedbackAgreement
from tests.distribution.networks import NETWORKS
from tests.distribution.three_steps import STEPS, compiled, data, fitted, start, weights

RATE = 0.05


def two_replicas(folder, network, dtype, sync):
    """Weights and logs of three steps on two replicas, in a process of their own."""
    out = folder / "out.npz"
    process = subprocess.run(
        [sys.executable, "-m", "tests.distribution.three_steps", out, network, dtype, "2", sync],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    with np.load(out) as arrays:
        return [arrays[name] for name in arrays.files if name != "logs"], json.loads(str(arrays["logs"]))


def one_device(network, dtype, sync, shuffle=0):
    model, logs = fitted(network, dtype, start(dtype, 1), sync, shuffle)
    return weights(model), logs


def difference(one, other):
    """The largest difference of any weight and of any logged number."""
    of_weights = max(np.abs(a - b).max() for a, b in zip(one[0], other[0], strict=True))
    assert [set(step) for step in one[1]] == [set(step) for step in other[1]]
    of_logs = max(abs(a[name] - b[name]) for a, b in zip(one[1], other[1], strict=True) for name in a)
    return of_weights, of_logs


@pytest.mark.parametrize(
    "network", [pytest.param(name, marks=() if name == "encapnet" else pytest.mark.slow) for name in NETWORKS]
)
def test_two_replicas_equal_one_device_in_float64(network, tmp_path):
    found, expected = two_replicas(tmp_path, network, "float64", "sync"), one_device(network, "float64", True)
    assert max(difference(found, expected)) < 1e-9
    trained = one_device(network, "float64", True, shuffle=1)[0]
    assert any(np.abs(a - b).max() > 0 for a, b in zip(trained, expected[0], strict=True)), "rounding shows"


@pytest.mark.slow
def test_in_float32_the_difference_is_rounding(tmp_path):
    """Within 4 times what permuting the rows of each batch changes on one device."""
    expected = one_device("encapnet", "float32", True)
    permuted = [difference(one_device("encapnet", "float32", True, shuffle), expected) for shuffle in (1, 2, 3)]
    found = difference(two_replicas(tmp_path, "encapnet", "float32", "sync"), expected)
    for ours, yardstick in zip(found, np.max(permuted, axis=0), strict=True):
        assert 0 < ours < 4 * yardstick


def test_without_sync_the_mean_of_the_replicas_losses_is_logged_and_optimised(tmp_path):
    found, logs = two_replicas(tmp_path, "encapnet", "float64", "own")
    start("float64", 1)
    model, losses, divergences = compiled("encapnet", False), [], []
    for x, y in zip(*data("float64"), strict=True):
        gradients = []
        for share in (slice(0, 4), slice(4, 8)):
            with tf.GradientTape() as tape:
                loss = model.loss(y[share], model(x[share], training=True)) + sum(model.losses)
            gradients.append(tape.gradient(loss, model.trainable_variables))
            losses.append(float(loss))
            divergences.append(float(model.losses[0]) / 0.5)
        for variable, *shares in zip(model.trainable_variables, *gradients, strict=True):
            variable.assign_sub(RATE * sum(shares) / 2)
    for i, variable in enumerate(model.trainable_variables):
        np.testing.assert_allclose(found[i], np.array(variable), atol=1e-9)
    for step in range(STEPS):
        assert logs[step]["loss"] == pytest.approx(np.mean(losses[: 2 * step + 2]), abs=1e-9)
        assert logs[step]["module1_feedback_half"] == pytest.approx(np.mean(divergences[: 2 * step + 2]), abs=1e-9)


def test_sync_replicas_is_kept_and_changes_nothing_on_one_device():
    unit = FeedbackAgreement(generator="conv", sync_replicas=True)
    assert unit.get_config()["sync_replicas"] is True
    assert FeedbackAgreement.from_config(unit.get_config()).sync_replicas is True
    rng = np.random.default_rng(0)
    higher, lower = rng.normal(size=(2, 6, 5)).astype("float32")
    together = float(unit.agreement(higher, lower, training=True))
    unit.sync_replicas = False
    assert float(unit.agreement(higher, lower, training=True)) == together
