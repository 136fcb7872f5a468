"""Accuracy in float32, the limits of small and large epsilon, and finite results at every extreme."""

import math
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from encapnet_tf.ops import sinkhorn, sinkhorn_divergence
from tests.sinkhorn import reference
from tests.sinkhorn.problems import COSTS, KINDS, cost_scale, problem, relative_error, value_and_gradients

# Accuracy, no worse than was measured of the scheme that the fast solver follows.

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


@pytest.mark.parametrize("distribution", ["gaussian", pytest.param("uniform", marks=pytest.mark.ci)])
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


@cache
def gradient_at_small_epsilon():
    return reference.gradients(*sets("gaussian", 2), 0.01, "sqeuclidean")


@pytest.mark.parametrize("iterations", [10, 50])
def test_gradient_through_the_plan_at_small_epsilon(iterations):
    """No farther from the truth than differentiating the plain iteration, .56 and .06 here in float64."""
    x, y = sets("gaussian", 2)
    truth = gradient_at_small_epsilon()
    _, gradients = value_and_gradients(
        x, y, epsilon=0.01, iterations=iterations, cost="sqeuclidean", differentiate_plan=True
    )
    assert relative_error(gradients, truth) < {10: 0.6, 50: 0.065}[iterations]


# Limits: epsilon -> 0 is exact transport, epsilon -> infinity the energy distance.

converged = tf.function(lambda matrix, epsilon: sinkhorn(matrix, epsilon, iterations=1500))


def exact_transport(matrix):
    """Between equally many equal weights an optimal plan is a permutation (Birkhoff)."""
    return matrix[linear_sum_assignment(matrix)].mean()


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("kind", KINDS)
def test_small_epsilon_against_pot(kind, cost):
    """LP <= <P, Q> <= LP + epsilon log B, the last from the optimality of P and KL(permutation | 1/B^2) = log B."""
    ot = pytest.importorskip("ot")
    x, y = problem(kind)
    matrix = reference.cost_matrix(x, y, cost)
    weights = np.full(len(matrix), 1 / len(matrix))
    lowest = ot.emd2(weights, weights, matrix)
    epsilon = 0.02 * cost_scale(x, y, cost)
    result = converged(tf.constant(matrix), tf.constant(epsilon, "float64"))
    sharp = np.sum(result.plan * matrix)
    missing = float(result.marginal_error) * matrix.max()
    assert missing < 1e-3 * cost_scale(x, y, cost), "not converged, so nothing is tested"
    assert lowest - missing - 1e-12 <= sharp <= lowest + epsilon * math.log(len(matrix)) + missing


@pytest.mark.parametrize("cost", COSTS)
def test_exact_transport_equals_pot(cost):
    ot = pytest.importorskip("ot")
    matrix = reference.cost_matrix(*problem("gaussian"), cost)
    assert exact_transport(matrix) == pytest.approx(ot.emd2([], [], matrix))


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("kind", ["gaussian", "uniform", "zero_rows", "pair"])
def test_the_divergence_approaches_exact_transport(kind, cost):
    x, y = (np.float64(points) for points in problem(kind))
    scale = cost_scale(x, y, cost)
    # A set's transport onto itself is free, but for rows without a direction.
    within = sum(exact_transport(reference.self_cost(points, cost)) for points in (x, y))
    expected = 2 * exact_transport(reference.cost_matrix(x, y, cost)) - within
    far, near = (
        abs(float(sinkhorn_divergence(x, y, epsilon * scale, 300, cost)) - expected) / scale for epsilon in (0.3, 0.01)
    )
    assert near < 0.02
    assert near <= far


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("kind", ["gaussian", "uniform", "clustered", "zero_rows"])
def test_large_epsilon(kind, cost):
    """The plan becomes uniform, and the divergence 2 mean Qxy - mean Qxx - mean Qyy."""
    x, y = (np.float64(points) for points in problem(kind))
    expected = 2 * reference.cost_matrix(x, y, cost).mean() - sum(reference.self_cost(z, cost).mean() for z in (x, y))
    scale = cost_scale(x, y, cost)
    for value in ("sharp", "dual"):
        ours = float(sinkhorn_divergence(x, y, 1e5 * scale, cost=cost, value=value))
        assert ours == pytest.approx(expected, rel=1e-3)
    in_float32 = float(sinkhorn_divergence(np.float32(x), np.float32(y), 1e4 * scale, cost=cost))
    assert in_float32 == pytest.approx(expected, abs=2e-6 * scale, rel=2e-3)


@pytest.mark.parametrize("solver", ["fast", "plain"])
def test_dual_is_below_and_sharp_is_below_the_independent_plan(solver):
    """dual = <P, Q> + epsilon KL >= sharp, and neither exceeds the cost of the independent plan, the mean."""
    x, y = problem("gaussian")
    mean = reference.cost_matrix(x, y, "euclidean").mean()
    sharp, dual = (
        float(sinkhorn_divergence(x, y, 0.3, 100, "euclidean", debias=False, value=value, solver=solver))
        for value in ("sharp", "dual")
    )
    assert exact_transport(reference.cost_matrix(x, y, "euclidean")) < sharp < dual < mean


# Extremes: in float32, up to costs of a million epsilon, nothing overflows and no gradient is NaN.


EPSILONS = (1e-2, 1e-4, 1e-6)


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("cost", COSTS)
def test_finite_at_any_epsilon(cost, epsilon):
    """Every kind of set at every cost and epsilon; numbers of iterations and gradients through the plan in pairs.

    A sharp value's gradient is a weighted mean of the costs' gradients, or close to one with the gradient through the
    plan: far beyond that it is wrong even if it is finite.
    """
    for i, kind in enumerate(KINDS):
        iterations = (5, 25)[(i + EPSILONS.index(epsilon)) % 2]
        differentiate_plan = bool((i + COSTS.index(cost)) % 2)
        x, y = problem(kind)
        largest = np.linalg.norm(reference.through_cost(np.ones((len(x), len(x))), np.float64(x), np.float64(y), cost))
        value, gradients = value_and_gradients(
            x,
            y,
            epsilon=epsilon * cost_scale(x, y, cost),
            cost=cost,
            iterations=iterations,
            differentiate_plan=differentiate_plan,
        )
        assert math.isfinite(value), kind
        assert np.isfinite(gradients).all(), kind
        assert abs(value) <= 5 * reference.cost_matrix(x, y, cost).max(), kind
        assert np.linalg.norm(gradients) <= 100 * (largest + 1), kind


@pytest.mark.ci
def test_finite_dual_value_at_any_epsilon():
    for i, kind in enumerate(KINDS):
        x, y = problem(kind)
        for j, cost in enumerate(COSTS):
            epsilon = EPSILONS[(i + j) % 3] * cost_scale(x, y, cost)
            value, gradients = value_and_gradients(x, y, epsilon=epsilon, cost=cost, value="dual")
            assert math.isfinite(value), (kind, epsilon)
            assert np.isfinite(gradients).all(), (kind, epsilon)


@settings(max_examples=40, deadline=None)
@given(
    exponent=st.floats(-6, 2),
    size=st.integers(1, 20),
    seed=st.integers(0, 10_000),
    iterations=st.integers(1, 60),
    stretch=st.floats(-4, 4),
)
def test_any_cost_matrix(exponent, size, seed, iterations, stretch):
    """Costs that no distance makes: heavy-tailed, of any size."""
    rng = np.random.default_rng(seed)
    matrix = np.float32(10**stretch * rng.random((size, size)) ** 4)
    epsilon = float(matrix.max() * 10**exponent) + 1e-12
    result = sinkhorn(matrix, epsilon, iterations)
    assert all(np.isfinite(part).all() for part in result)
    # Each column holds 1/B, but for the rounding of exponents of up to max / epsilon.
    rounding = 3e-7 * max(matrix.max() / epsilon, 10)
    assert np.abs(np.sum(result.plan, axis=0) * size - 1).max() <= rounding


@pytest.mark.parametrize("cost", COSTS)
def test_a_feature_that_dwarfs_the_others(cost):
    """One outlier at a distance of 1e4 from points that are 1 apart."""
    x, y = problem("gaussian")
    x[0] *= 1e4
    for epsilon in (1.0, 1e-2):
        value, gradients = value_and_gradients(x, y, epsilon=epsilon, cost=cost)
        assert math.isfinite(value)
        assert np.isfinite(gradients).all()
        expected = reference.divergence(x, y, epsilon * 100, cost) if cost == "cosine" else None
        if expected is not None:  # directions do not care
            ours = float(sinkhorn_divergence(x, y, epsilon * 100, 50, cost))
            assert ours == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("cost", COSTS)
def test_all_points_equal(cost):
    """Collapsed features: no cost at all."""
    x = np.ones((6, 3), "float32")
    for relative in (False, True):
        value, gradients = value_and_gradients(x, x, epsilon=0.1, cost=cost, relative_epsilon=relative)
        assert value == pytest.approx(0, abs=1e-5)
        np.testing.assert_allclose(gradients, 0, atol=1e-5)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6, 1e-8])
def test_finite_gradients_of_nearly_coincident_points(gap, cost):
    x, _ = problem("gaussian")
    y = np.float32(x + gap * np.random.default_rng(1).normal(size=x.shape))
    for differentiate_plan in (False, True):
        value, gradients = value_and_gradients(
            x, y, epsilon=0.1, cost=cost, differentiate_plan=differentiate_plan, iterations=12
        )
        assert abs(value) < 10 * gap + 1e-2
        assert np.isfinite(gradients).all()
        assert np.abs(gradients).max() < 2


def test_a_long_run_neither_drifts_nor_overflows():
    x, y = problem("clustered", size=24)
    matrix = tf.constant(reference.cost_matrix(x, y, "sqeuclidean"), "float32")
    solve = tf.function(lambda matrix, epsilon: sinkhorn(matrix, epsilon, iterations=2000))
    result = solve(matrix, 1e-3 * tf.reduce_mean(matrix))
    assert all(np.isfinite(part).all() for part in result)
    assert float(result.marginal_error) < 0.1
