"""float32 up to a cost of a million epsilon: nothing overflows, and no gradient is lost to NaN."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from encapnet_tf.ops import sinkhorn, sinkhorn_divergence
from tests.sinkhorn import reference
from tests.sinkhorn.autodiff import value_and_gradients
from tests.sinkhorn.problems import COSTS, KINDS, cost_scale, problem


@pytest.mark.parametrize("differentiate_plan", [False, True])
@pytest.mark.parametrize("epsilon", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("cost", COSTS)
def test_finite_at_any_epsilon(cost, epsilon, differentiate_plan):
    """Of every kind of set. A sharp value's gradient is a weighted mean of the costs' gradients, or close to one where
    the plan moves too: far beyond that it is wrong even if it is finite."""
    for kind in KINDS:
        x, y = problem(kind)
        scale = cost_scale(x, y, cost)
        largest = np.linalg.norm(reference.through_cost(np.ones((len(x), len(x))), np.float64(x), np.float64(y), cost))
        for iterations in (5, 25):
            value, gradients = value_and_gradients(
                x, y, epsilon=epsilon * scale, cost=cost, iterations=iterations, differentiate_plan=differentiate_plan
            )
            assert math.isfinite(value), kind
            assert np.isfinite(gradients).all(), (kind, iterations)
            assert abs(value) <= 5 * reference.cost_matrix(x, y, cost).max(), (kind, iterations)
            assert np.linalg.norm(gradients) <= 100 * (largest + 1), (kind, iterations)


@pytest.mark.parametrize("cost", COSTS)
def test_finite_dual_value_at_any_epsilon(cost):
    for kind in KINDS:
        x, y = problem(kind)
        for epsilon in (1e-2, 1e-4, 1e-6):
            value, gradients = value_and_gradients(
                x, y, epsilon=epsilon * cost_scale(x, y, cost), cost=cost, value="dual"
            )
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
def test_all_points_alike(cost):
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
            x, y, epsilon=0.1, cost=cost, differentiate_plan=differentiate_plan, iterations=30
        )
        assert abs(value) < 10 * gap + 1e-2
        assert np.isfinite(gradients).all()
        assert np.abs(gradients).max() < 2


def test_a_long_run_neither_drifts_nor_overflows():
    x, y = problem("clustered", size=24)
    matrix = tf.constant(reference.cost_matrix(x, y, "sqeuclidean"), "float32")
    result = sinkhorn(matrix, 1e-3 * float(tf.reduce_mean(matrix)), iterations=2000)
    assert all(np.isfinite(part).all() for part in result)
    assert float(result.marginal_error) < 0.1
