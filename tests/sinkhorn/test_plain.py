"""solver="plain" makes exactly the steps of Eq. 9, and "fast" arrives where they lead."""

import numpy as np
import pytest

from encapnet_tf.ops import sinkhorn_divergence, sinkhorn_plan
from tests.sinkhorn import eq9, reference
from tests.sinkhorn.autodiff import relative_error, value_and_gradients
from tests.sinkhorn.problems import COSTS, cost_scale, problem


@pytest.mark.parametrize("steps", [1, 2, 10, 20])
@pytest.mark.parametrize("cost", COSTS)
def test_plan(cost, steps):
    matrix = reference.cost_matrix(*problem("gaussian"), cost)
    epsilon = 0.2 * matrix.mean()
    plan = sinkhorn_plan(np.float32(matrix), epsilon, steps, solver="plain")
    np.testing.assert_allclose(plan, eq9.plan(matrix, epsilon, steps), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("debias", [True, False])
@pytest.mark.parametrize("differentiate_plan", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 10, 20])
@pytest.mark.parametrize("cost", COSTS)
def test_value_and_gradients(cost, steps, differentiate_plan, debias):
    x, y = problem("gaussian", size=5, features=3)
    options = {"cost": cost, "differentiate_plan": differentiate_plan, "debias": debias}
    epsilon = 0.3 * cost_scale(x, y, cost)
    value, gradients = value_and_gradients(x, y, epsilon=epsilon, iterations=steps, solver="plain", **options)
    x, y = np.float64(x), np.float64(y)
    assert value == pytest.approx(eq9.divergence(x, y, epsilon, steps, **options), rel=1e-5)
    assert relative_error(gradients, eq9.gradients(x, y, epsilon, steps, **options)) < 1e-4


def test_steps_are_told_apart():
    """One step more or less is far outside the tolerances above."""
    x, y = (np.float64(points) for points in problem("gaussian", size=5, features=3))
    for cost in COSTS:
        epsilon = 0.3 * cost_scale(x, y, cost)
        nine, ten = (eq9.divergence(x, y, epsilon, steps, cost) for steps in (1, 2))
        assert abs(nine / ten - 1) > 1e-3


@pytest.mark.parametrize("differentiate_plan", [True, False])
@pytest.mark.parametrize("value", ["sharp", "dual"])
@pytest.mark.parametrize("cost", COSTS)
def test_fast_equals_plain_where_both_have_converged(cost, value, differentiate_plan):
    x, y = problem("gaussian")
    options = {"epsilon": 0.5 * cost_scale(x, y, cost), "cost": cost, "value": value, "iterations": 60}
    (fast, fast_gradients), (plain, plain_gradients) = (
        value_and_gradients(x, y, differentiate_plan=differentiate_plan, solver=solver, **options)
        for solver in ("fast", "plain")
    )
    assert fast == pytest.approx(plain, rel=1e-5)
    assert relative_error(fast_gradients, plain_gradients) < 1e-4


def test_the_dual_value_of_plain_is_that_of_its_potentials():
    x, y = problem("gaussian")
    matrix = reference.cost_matrix(x, y, "cosine")
    kernel, v = np.exp(-matrix / 0.4), np.ones(len(matrix))
    for _ in range(3):
        u = len(matrix) / (kernel @ v)
        v = len(matrix) / (kernel.T @ u)
    expected = 0.4 * (np.log(u).mean() + np.log(v).mean())
    ours = float(sinkhorn_divergence(x, y, 0.4, 3, debias=False, value="dual", solver="plain"))
    assert ours == pytest.approx(expected, rel=1e-5)
