"""float32 accuracy no worse than was measured of the scheme that the fast solver follows."""

from functools import cache

import numpy as np
import pytest

from tests.sinkhorn import reference
from tests.sinkhorn.autodiff import relative_error, value_and_gradients

# (epsilon, iterations): relative error of the divergence, of its gradient. B 128, d 16, squared Euclidean, mean cost 1.
TABLE = {
    (1, 10): (3e-7, 3e-6),
    (0.1, 10): (1e-7, 8e-6),
    (0.1, 50): (1e-7, 2e-7),
    (0.01, 10): (7e-3, 0.3),
    (0.01, 50): (2e-4, 4e-2),
}
# What float32 itself costs, as four terms of about 1 are subtracted. At epsilon 1 they leave a divergence of .045 only.
VALUE_FLOOR = {1: 3e-6, 0.1: 3e-7, 0.01: 3e-7}
GRADIENT_FLOOR = 5e-7
SEEDS = {1: range(5), 0.1: range(5), 0.01: range(1)}  # one is enough where errors are far from the table's


@cache
def sets(distribution, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 128, 16)) if distribution == "gaussian" else rng.random((2, 128, 16))
    scale = np.sqrt(reference.cost_matrix(x, y, "sqeuclidean").mean())
    return np.float32(x / scale), np.float32(y / scale)


@cache
def expected(distribution, seed, epsilon):
    return reference.value_and_gradients(*sets(distribution, seed), epsilon, "sqeuclidean", differentiate_plan=False)


@pytest.mark.parametrize("distribution", ["gaussian", "uniform"])
@pytest.mark.parametrize(("epsilon", "iterations"), TABLE)
def test_accuracy(distribution, epsilon, iterations):
    """The median over a few sets: how far ten iterations get at epsilon .1 differs tenfold between draws."""
    errors = []
    for seed in SEEDS[epsilon]:
        ours, gradients = value_and_gradients(
            *sets(distribution, seed), epsilon=epsilon, iterations=iterations, cost="sqeuclidean"
        )
        value, reference_gradients = expected(distribution, seed, epsilon)
        errors.append((abs(ours / value - 1), relative_error(gradients, reference_gradients)))
    value_error, gradient_error = np.median(errors, axis=0)
    value_bound, gradient_bound = TABLE[epsilon, iterations]
    assert value_error <= max(value_bound, VALUE_FLOOR[epsilon])
    assert gradient_error <= max(gradient_bound, GRADIENT_FLOOR)


@pytest.mark.parametrize("iterations", [10, 50])
def test_gradient_through_the_plan_at_small_epsilon(iterations):
    """No farther from the truth than differentiating the plain iteration, .56 and .06 here in float64."""
    x, y = sets("gaussian", 2)
    truth = reference.gradients(x, y, 0.01, "sqeuclidean")
    _, gradients = value_and_gradients(
        x, y, epsilon=0.01, iterations=iterations, cost="sqeuclidean", differentiate_plan=True
    )
    assert relative_error(gradients, truth) < {10: 0.6, 50: 0.065}[iterations]
