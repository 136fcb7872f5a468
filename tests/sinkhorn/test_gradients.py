"""Gradients three ways: autodiff, the reference's closed form and, on some sets, finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from encapnet_tf.ops import sinkhorn_divergence, sinkhorn_plan
from tests.sinkhorn import reference
from tests.sinkhorn.problems import (
    COSTS,
    KINDS,
    cost_scale,
    directional,
    paired,
    problem,
    random_direction,
    value_and_gradients,
)

# Where |x - y| has no gradient there is nothing to compare it with.
SMOOTH = [
    (kind, cost)
    for kind in KINDS
    for cost in COSTS
    if kind != "offset" and (kind not in ("identical", "permuted") or cost != "euclidean")
]


def scale_of_gradients(x, y, options):
    """The divergence's terms cancel, entirely where x is y, so errors are measured against those of one term."""
    return np.linalg.norm(reference.gradients(x, y, **{**options, "debias": False}))


@pytest.mark.parametrize(("kind", "cost", "value"), paired(SMOOTH, ["sharp", "dual"]))
def test_gradient(kind, cost, value):
    x, y = (np.float64(points) for points in problem(kind, size=8, features=3))
    options = {"epsilon": 0.5 * cost_scale(x, y, cost), "cost": cost, "value": value}
    size = scale_of_gradients(x, y, options)
    ours = {"iterations": 60, "differentiate_plan": value == "sharp", **options}
    _, gradients = value_and_gradients(x, y, **ours)
    np.testing.assert_allclose(gradients, reference.gradients(x, y, **options), atol=1e-4 * size)

    # On the other kinds of sets it is enough that values and gradients are the reference's.
    if kind in ("gaussian", "clustered", "zero_rows", "nearly_coincident"):
        direction = random_direction(gradients.shape)
        if kind == "zero_rows":
            direction[np.stack([x, y]) == 0] = 0  # a row of zeros has no direction; any step gives it one
        # The step stays below the smallest distance between points.
        step = 1e-6 if kind == "nearly_coincident" else 1e-5
        slope = directional(lambda x, y: sinkhorn_divergence(x, y, **ours), x, y, direction, step)
        assert np.sum(gradients * direction) == pytest.approx(slope, abs=1e-4 * size)


@pytest.mark.parametrize("debias", [True, False])
@pytest.mark.parametrize("cost", COSTS)
def test_gradient_at_a_fixed_plan(cost, debias):
    """differentiate_plan=False: <P, dQ> alone, at the converged plan."""
    x, y = problem("gaussian")
    options = {"epsilon": 0.4 * cost_scale(x, y, cost), "cost": cost, "debias": debias}
    _, gradients = value_and_gradients(x, y, iterations=100, **options)
    expected = reference.gradients(x, y, differentiate_plan=False, **options)
    through = reference.gradients(x, y, differentiate_plan=True, **options)
    np.testing.assert_allclose(gradients, expected, atol=1e-5 * np.linalg.norm(expected))
    assert np.linalg.norm(through - expected) > 0.02 * np.linalg.norm(expected), "else nothing is compared"


@pytest.mark.parametrize("iterations", [1, 3, 12])
@pytest.mark.parametrize("solver", ["fast", "plain"])
@pytest.mark.parametrize("cost", COSTS)
def test_gradient_at_a_fixed_plan_that_has_not_converged(cost, solver, iterations):
    x, y = problem("gaussian")
    epsilon = 0.2 * cost_scale(x, y, cost)
    _, gradients = value_and_gradients(
        x, y, epsilon=epsilon, iterations=iterations, cost=cost, debias=False, solver=solver
    )
    plan = np.asarray(sinkhorn_plan(np.float32(reference.cost_matrix(x, y, cost)), epsilon, iterations, solver))
    x, y = np.float64(x), np.float64(y)
    np.testing.assert_allclose(gradients[0], reference.through_cost(plan, x, y, cost), atol=3e-6)
    np.testing.assert_allclose(gradients[1], reference.through_cost(plan.T, y, x, cost), atol=3e-6)


@pytest.mark.parametrize("solver", ["fast", "plain"])
@pytest.mark.parametrize("differentiate_plan", [True, False])
def test_the_dual_value_never_needs_the_plan_s_gradient(differentiate_plan, solver):
    x, y = problem("gaussian")
    options = {"epsilon": 0.4 * cost_scale(x, y, "sqeuclidean"), "cost": "sqeuclidean", "value": "dual"}
    _, gradients = value_and_gradients(
        x, y, iterations=60, differentiate_plan=differentiate_plan, solver=solver, **options
    )
    expected = reference.gradients(x, y, **options)
    np.testing.assert_allclose(gradients, expected, atol=2e-5 * np.linalg.norm(expected))


@pytest.mark.parametrize("solver", ["fast", "plain"])
@pytest.mark.parametrize("differentiate_plan", [True, False])
@pytest.mark.parametrize("value", ["sharp", "dual"])
@pytest.mark.parametrize("cost", COSTS)
def test_value_under_gradient_is_the_plain_value(cost, value, differentiate_plan, solver):
    """Every combination of options, on kinds of sets in turn."""
    index = COSTS.index(cost) + (value == "dual") + differentiate_plan + (solver == "plain")
    x, y = problem(("gaussian", "zero_rows", "identical")[index % 3])
    options = {"cost": cost, "value": value, "differentiate_plan": differentiate_plan, "solver": solver}
    value_, _ = value_and_gradients(x, y, epsilon=0.5, **options)
    assert value_ == float(sinkhorn_divergence(x, y, epsilon=0.5, **options))


@pytest.mark.parametrize("solver", ["fast", "plain"])
@pytest.mark.parametrize("value", ["sharp", "dual"])
def test_differentiate_plan_does_not_change_the_value(value, solver):
    x, y = problem("gaussian")
    one, other = (
        float(sinkhorn_divergence(x, y, 0.3, value=value, solver=solver, differentiate_plan=choice))
        for choice in (True, False)
    )
    assert one == pytest.approx(other, rel=1e-6)


def test_gradients_of_a_divergence_from_itself_vanish():
    """Through the plan too, at the default number of iterations."""
    x, y = problem("permuted", size=32)
    for cost in COSTS:
        for epsilon in (1.0, 0.1):
            options = {"epsilon": epsilon * cost_scale(x, y, cost), "cost": cost}
            size = scale_of_gradients(x, y, {**options, "differentiate_plan": False})
            for differentiate_plan in (False, True):
                _, gradients = value_and_gradients(x, y, differentiate_plan=differentiate_plan, **options)
                assert np.linalg.norm(gradients) <= 1e-3 * size, (cost, epsilon, differentiate_plan)


def test_descent_moves_one_set_onto_the_other():
    """Plain gradient descent brings the sets together."""
    x, y = problem("gaussian", size=16, features=2)
    first = float(sinkhorn_divergence(x, y, 0.05, cost="sqeuclidean"))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = sinkhorn_divergence(x, y, 0.05, cost="sqeuclidean")
        return x - 2 * tape.gradient(value, x)

    x = tf.constant(x)
    for _ in range(60):
        x = step(x)
    assert float(sinkhorn_divergence(x, y, 0.05, cost="sqeuclidean")) < 0.02 * first
