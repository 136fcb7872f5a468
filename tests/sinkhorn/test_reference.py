"""Checks of the NumPy reference that the other tests compare with."""

import numpy as np
import pytest

from tests.sinkhorn import reference
from tests.sinkhorn.problems import COSTS, cost_scale, directional, problem, random_direction, relative_error


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("kind", ["gaussian", "clustered", "zero_rows"])
def test_plan(kind, cost):
    matrix = reference.cost_matrix(*problem(kind), cost)
    f, g, plan = reference.solve(matrix, 0.05 * matrix.mean())
    np.testing.assert_allclose(plan.sum(0), 1 / len(plan), atol=1e-10)
    np.testing.assert_allclose(plan.sum(1), 1 / len(plan), atol=1e-10)
    # The optimal plan is the only one with these marginals of the form exp(row + column - Q / epsilon).
    exponent = np.log(plan * len(plan) ** 2) + matrix / (0.05 * matrix.mean())
    np.testing.assert_allclose(exponent, (f[:, None] + g[None]) / (0.05 * matrix.mean()), atol=1e-8)


@pytest.mark.parametrize("debias", [True, False])
@pytest.mark.parametrize("value", ["sharp", "dual"])
@pytest.mark.parametrize("cost", COSTS)
def test_gradient(cost, value, debias):
    x, y = (np.float64(points) for points in problem("gaussian", size=6, features=3))
    options = {"epsilon": 0.2 * cost_scale(x, y, cost), "cost": cost, "value": value, "debias": debias}
    value_, gradients = reference.value_and_gradients(x, y, **options)
    assert value_ == pytest.approx(reference.divergence(x, y, **options))
    direction = random_direction(gradients.shape)
    expected = directional(lambda x, y: reference.divergence(x, y, **options), x, y, direction)
    assert np.sum(gradients * direction) == pytest.approx(expected, rel=1e-6)


def test_gradient_at_a_fixed_plan():
    x, y = (np.float64(points) for points in problem("gaussian", size=6, features=3))
    _, _, plan = reference.solve(reference.cost_matrix(x, y, "euclidean"), 0.1)
    gradients = reference.gradients(x, y, 0.1, "euclidean", debias=False, differentiate_plan=False)
    direction = random_direction((2, *x.shape))
    fixed = directional(lambda x, y: np.sum(plan * reference.cost_matrix(x, y, "euclidean")), x, y, direction)
    assert np.sum(gradients * direction) == pytest.approx(fixed, rel=1e-6)


def test_relative_error():
    assert relative_error([3.0, 4.1], np.array([3.0, 4.0])) == pytest.approx(0.02)
