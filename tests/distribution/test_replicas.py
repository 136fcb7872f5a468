"""Two replicas train as one device on the same global batch, feedback units included."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from encapnet_tf.layers import FeedbackAgreement
from tests.distribution.three_steps import RATE, STEPS, compiled, data, fit, set_precision, weights


def train_on_two_replicas(folder, *cases):
    """Train each case in one process of its own, which writes the results to the folder."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.distribution.three_steps", folder, *cases],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]


def results(folder, case):
    """Return the weights and the logs that the process of `train_on_two_replicas` wrote."""
    with np.load(folder / f"{case}.npz") as arrays:
        return [arrays[name] for name in arrays.files if name != "logs"], json.loads(str(arrays["logs"]))


@pytest.fixture(scope="session")
def two_replicas(shared_folder):
    """Return case -> (weights, logs) of the cases that continuous integration compares, trained by one process."""
    cases = ("attached:float64:sync", "attached:float64:shares", "encapnet:float64:sync")
    folder = shared_folder("two_replicas", lambda folder: train_on_two_replicas(folder, *cases))
    return {case: results(folder, case) for case in cases}


def one_device(network, dtype, shuffles=(0,)):
    """Train one model once for each permutation of the rows, from equal weights; return the (weights, logs) of each."""
    set_precision(dtype)
    model = compiled(network, True)
    results, initial = [], None
    for shuffle in shuffles:
        if initial is not None:
            model.set_weights(initial)
        elif model.built:
            initial = model.get_weights()
        logs = fit(model, dtype, shuffle)
        results.append((weights(model), logs))
    return results


def difference(one, other):
    """Return the largest difference of any weight and of any logged number."""
    of_weights = max(np.abs(a - b).max() for a, b in zip(one[0], other[0], strict=True))
    assert [set(step) for step in one[1]] == [set(step) for step in other[1]]
    of_logs = max(abs(a[name] - b[name]) for a, b in zip(one[1], other[1], strict=True) for name in a)
    return of_weights, of_logs


@pytest.mark.ci
def test_two_replicas_equal_one_device_in_float64(two_replicas):
    expected, permuted = one_device("attached", "float64", shuffles=(0, 1))
    assert max(difference(two_replicas["attached:float64:sync"], expected)) < 1e-9
    assert any(np.abs(a - b).max() > 0 for a, b in zip(permuted[0], expected[0], strict=True)), "rounding shows"


@pytest.mark.ci
def test_an_encapnet_equals_one_device_in_float64(two_replicas):
    (expected,) = one_device("encapnet", "float64")
    assert max(difference(two_replicas["encapnet:float64:sync"], expected)) < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("network", ["subclassed", "adversarial"])
def test_other_networks_equal_one_device_in_float64(network, tmp_path):
    case = f"{network}:float64:sync"
    (expected,) = one_device(network, "float64")
    train_on_two_replicas(tmp_path, case)
    assert max(difference(results(tmp_path, case), expected)) < 1e-9


@pytest.mark.slow
def test_in_float32_the_difference_is_rounding(tmp_path):
    """Within 4 times the change that a permutation of the rows of each batch makes on one device."""
    expected, *permuted = one_device("encapnet", "float32", shuffles=(0, 1, 2, 3))
    yardsticks = np.max([difference(result, expected) for result in permuted], axis=0)
    case = "encapnet:float32:sync"
    train_on_two_replicas(tmp_path, case)
    for ours, yardstick in zip(difference(results(tmp_path, case), expected), yardsticks, strict=True):
        assert 0 < ours < 4 * yardstick


@pytest.mark.ci
def test_without_sync_the_mean_of_the_replicas_losses_is_logged_and_optimised(two_replicas):
    final, logs = two_replicas["attached:float64:shares"]
    set_precision("float64")
    model, losses, divergences = compiled("attached", False), [], []
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
        np.testing.assert_allclose(final[i], np.array(variable), atol=1e-9)
    for step in range(STEPS):
        assert logs[step]["loss"] == pytest.approx(np.mean(losses[: 2 * step + 2]), abs=1e-9)
        assert logs[step]["feedback_higher_lower"] == pytest.approx(np.mean(divergences[: 2 * step + 2]), abs=1e-9)


def test_sync_replicas_is_saved_and_has_no_effect_on_one_device():
    unit = FeedbackAgreement(generator="conv", sync_replicas=True)
    assert unit.get_config()["sync_replicas"] is True
    assert FeedbackAgreement.from_config(unit.get_config()).sync_replicas is True
    rng = np.random.default_rng(0)
    higher, lower = rng.normal(size=(2, 6, 5)).astype("float32")
    synchronized = float(unit.agreement(higher, lower, training=True))
    unit.sync_replicas = False
    assert float(unit.agreement(higher, lower, training=True)) == synchronized
