"""epsilon -> 0 is exact transport, epsilon -> infinity the energy distance."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import linear_sum_assignment

from encapnet_tf.ops import sinkhorn, sinkhorn_divergence
from tests.sinkhorn import reference
from tests.sinkhorn.problems import COSTS, KINDS, cost_scale, problem

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
def test_our_exact_transport_is_pot_s(cost):
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
    errors = [
        abs(float(sinkhorn_divergence(x, y, epsilon * scale, 300, cost)) - expected) / scale
        for epsilon in (0.3, 0.05, 0.01)
    ]
    assert errors[2] < 0.02
    assert errors[2] <= errors[0]


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
