"""`sinkhorn` and `sinkhorn_plan`: plans, potentials, marginals and their convergence."""

from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from encapnet_tf.ops import SinkhornResult, sinkhorn, sinkhorn_divergence, sinkhorn_plan
from encapnet_tf.ops.transport import solvers
from tests.sinkhorn import eq9, reference
from tests.sinkhorn.problems import COSTS, KINDS, cost_scale, problem, relative_error, value_and_gradients


def numpy(result):
    return SinkhornResult(*(np.asarray(part) for part in result))


converged = tf.function(lambda matrix, epsilon: sinkhorn(matrix, epsilon, iterations=300))


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("kind", KINDS)
def test_plan_and_marginals(kind, cost):
    x, y = problem(kind)
    matrix = reference.cost_matrix(x, y, cost)
    epsilon = 0.3 * cost_scale(x, y, cost)
    result = numpy(converged(tf.constant(matrix), tf.constant(epsilon)))  # float64, so the error is the solver's
    np.testing.assert_allclose(result.plan.sum(0), 1 / len(matrix), atol=1e-12)  # the last step is the columns'
    np.testing.assert_allclose(result.plan.sum(1), 1 / len(matrix), atol=1e-5)
    _, _, plan = reference.solve(matrix, epsilon)
    np.testing.assert_allclose(result.plan, plan, atol=1e-5)


@pytest.mark.parametrize("solver", ["fast", "plain"])
def test_result(solver):
    matrix = np.float32(reference.cost_matrix(*problem("gaussian"), "cosine"))
    result = numpy(sinkhorn(matrix, 0.3, iterations=3, solver=solver))
    size = len(matrix)
    assert result.plan.shape == matrix.shape
    assert result.potential_x.shape == result.potential_y.shape == (size,)
    assert result.epsilon == np.float32(0.3)
    density = np.exp((result.potential_x[:, None] + result.potential_y[None] - matrix) / result.epsilon)
    np.testing.assert_allclose(result.plan, density / size**2, rtol=1e-4)
    error = sum(np.abs(result.plan.sum(axis) - 1 / size).sum() for axis in (0, 1))
    assert result.marginal_error == pytest.approx(error, rel=1e-3, abs=1e-7)
    assert error > 1e-5, "three steps do not converge here"
    np.testing.assert_array_equal(result.plan, sinkhorn_plan(matrix, 0.3, iterations=3, solver=solver))


@pytest.mark.parametrize("solver", ["fast", "plain"])
@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.03])
def test_marginal_error_falls_with_iterations(epsilon, solver):
    matrix = reference.cost_matrix(*problem("gaussian"), "cosine")
    errors = [float(sinkhorn(matrix, epsilon, n, solver).marginal_error) for n in (1, 3, 10, 40, 160)]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(errors)), errors
    assert errors[-1] < 0.05 * errors[0]


def test_fast_goes_further_than_plain():
    matrix = reference.cost_matrix(*problem("gaussian", size=48, features=8), "sqeuclidean")
    epsilon = 0.02 * matrix.mean()
    fast, plain = (float(sinkhorn(matrix, epsilon, 50, solver).marginal_error) for solver in ("fast", "plain"))
    assert fast < plain


@pytest.mark.parametrize("epsilon", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("kind", KINDS)
def test_float32_plan_stays_a_plan_at_any_epsilon(kind, epsilon):
    x, y = problem(kind)
    matrix = np.float32(reference.cost_matrix(x, y, "sqeuclidean"))
    result = numpy(sinkhorn(matrix, epsilon * cost_scale(x, y, "sqeuclidean"), iterations=30))
    assert all(np.isfinite(part).all() for part in result)
    assert result.plan.min() >= 0
    # Columns are scaled last. What is left is the rounding of exponents of up to cost / epsilon.
    np.testing.assert_allclose(result.plan.sum(0), 1 / len(matrix), rtol=max(1e-4, 2e-7 * matrix.max() / epsilon))


@pytest.fixture
def blocks(monkeypatch):
    """Sizes of the blocks of over-relaxed steps that the fast solver runs, a list that grows."""
    sizes, relaxed_steps = [], solvers._relaxed_steps
    monkeypatch.setattr(solvers, "_relaxed_steps", lambda *args: (sizes.append(args[4]), relaxed_steps(*args))[1])
    return sizes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fast_stops_once_converged(blocks, dtype):
    matrix = reference.cost_matrix(*problem("gaussian"), "cosine").astype(dtype)
    result = numpy(sinkhorn(matrix, 0.3, iterations=5000))
    assert sum(blocks) < 300, "it ends long before"
    _, _, plan = reference.solve(matrix, 0.3)
    accuracy = {"float32": 1e-6, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(result.plan, plan, atol=accuracy * plan.max())


def test_fast_does_not_stop_before_it_has_converged(blocks):
    matrix = np.float32(reference.cost_matrix(*problem("gaussian", size=48, features=8), "sqeuclidean"))
    errors = []
    for iterations in (40, 64, 200):  # converges slowly: Eq. 9 takes tens of thousands of steps
        blocks.clear()
        errors.append(float(sinkhorn(matrix, 0.005 * matrix.mean(), iterations).marginal_error))
        assert sum(blocks) == min(iterations, 64) - 5, "all but the first four and the last run in these blocks"
    assert errors[1] < errors[0]
    assert errors[2] < 0.2 * errors[1], "Newton steps go on"


@pytest.mark.parametrize("iterations", [1, 4, 5, 6, 7, 33])
def test_every_number_of_iterations_ends_with_exact_columns(iterations):
    """The solver works in blocks of steps, whose boundaries must not lose one."""
    matrix = reference.cost_matrix(*problem("uniform", size=9), "euclidean")
    result = numpy(sinkhorn(matrix, 0.1, iterations))
    np.testing.assert_allclose(result.plan.sum(0), 1 / 9, rtol=1e-12)


converged_plan = tf.function(lambda matrix, epsilon: sinkhorn_plan(matrix, epsilon, iterations=100))


@settings(max_examples=40, deadline=None)
@given(
    entries=st.lists(st.floats(0, 2), min_size=4, max_size=4),
    epsilon=st.floats(0.5, 10),
)
def test_two_points(entries, epsilon):
    """The 2 x 2 plan in closed form: its odds are exp((off-diagonal - diagonal costs) / 2 epsilon)."""
    matrix = np.reshape(entries, (2, 2))
    on_diagonal = 0.5 / (1 + np.exp((np.trace(matrix) - matrix[0, 1] - matrix[1, 0]) / (2 * epsilon)))
    plan = converged_plan(tf.constant(matrix), tf.constant(epsilon, "float64"))
    expected = [[on_diagonal, 0.5 - on_diagonal], [0.5 - on_diagonal, on_diagonal]]
    np.testing.assert_allclose(plan, expected, atol=1e-5)


def test_one_point():
    result = numpy(sinkhorn(np.float32([[3.0]]), 0.01))
    np.testing.assert_allclose(result.plan, [[1.0]], rtol=1e-6)
    np.testing.assert_allclose(result.potential_x + result.potential_y, [3.0], rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(1e-4, 1e4), epsilon=st.sampled_from([1.0, 0.1, 0.01]))
def test_scaling_cost_and_epsilon_together_keeps_the_plan(factor, epsilon):
    matrix = reference.cost_matrix(*problem("gaussian"), "cosine")
    plan = sinkhorn_plan(matrix, epsilon, iterations=20)
    np.testing.assert_allclose(sinkhorn_plan(factor * matrix, factor * epsilon, 20), plan, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("solver", ["fast", "plain"])
def test_relative_epsilon(solver):
    matrix = 7 * reference.cost_matrix(*problem("gaussian"), "cosine")
    relative = sinkhorn(matrix, 0.2, 20, solver, relative_epsilon=True)
    assert float(relative.epsilon) == pytest.approx(0.2 * matrix.mean())
    np.testing.assert_allclose(relative.plan, sinkhorn_plan(matrix, 0.2 * matrix.mean(), 20, solver), rtol=1e-9)


def test_relative_epsilon_of_a_cost_of_zero():
    np.testing.assert_allclose(sinkhorn_plan(np.zeros((3, 3)), 0.5, relative_epsilon=True), 1 / 9)


def test_rows_and_columns_in_another_order():
    matrix = reference.cost_matrix(*problem("gaussian"), "cosine")
    rows, columns = (np.random.default_rng(seed).permutation(len(matrix)) for seed in (1, 2))
    plan = np.asarray(sinkhorn_plan(matrix, 0.1, 7))
    np.testing.assert_allclose(sinkhorn_plan(matrix[rows][:, columns], 0.1, 7), plan[rows][:, columns], rtol=1e-9)


def test_the_transposed_problem_has_the_transposed_plan():
    matrix = reference.cost_matrix(*problem("gaussian"), "cosine")
    np.testing.assert_allclose(
        sinkhorn_plan(matrix.T, 0.2, 200), np.transpose(sinkhorn_plan(matrix, 0.2, 200)), atol=1e-10
    )


def test_a_constant_in_the_cost_changes_only_the_potentials():
    matrix = reference.cost_matrix(*problem("gaussian"), "cosine")
    shifted, plain = numpy(sinkhorn(matrix + 5, 0.1, 9)), numpy(sinkhorn(matrix, 0.1, 9))
    np.testing.assert_allclose(shifted.plan, plain.plan, rtol=1e-9)
    sums = shifted.potential_x + shifted.potential_y.mean() - plain.potential_x - plain.potential_y.mean()
    np.testing.assert_allclose(sums, 5, rtol=1e-9)


# solver="plain" makes exactly the steps of Eq. 9, and "fast" converges to the same plan.


@pytest.mark.parametrize("steps", [1, 2, 10, 20])
@pytest.mark.parametrize("cost", COSTS)
def test_plan_of_the_plain_solver(cost, steps):
    matrix = reference.cost_matrix(*problem("gaussian"), cost)
    epsilon = 0.2 * matrix.mean()
    plan = sinkhorn_plan(np.float32(matrix), epsilon, steps, solver="plain")
    np.testing.assert_allclose(plan, eq9.plan(matrix, epsilon, steps), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("debias", [True, False])
@pytest.mark.parametrize("differentiate_plan", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 15])
@pytest.mark.parametrize("cost", COSTS)
def test_value_and_gradients_of_the_plain_solver(cost, steps, differentiate_plan, debias):
    x, y = problem("gaussian", size=5, features=3)
    options = {"cost": cost, "differentiate_plan": differentiate_plan, "debias": debias}
    epsilon = 0.3 * cost_scale(x, y, cost)
    value, gradients = value_and_gradients(x, y, epsilon=epsilon, iterations=steps, solver="plain", **options)
    x, y = np.float64(x), np.float64(y)
    assert value == pytest.approx(eq9.divergence(x, y, epsilon, steps, **options), rel=1e-5)
    assert relative_error(gradients, eq9.gradients(x, y, epsilon, steps, **options)) < 1e-4


def test_one_step_more_or_less_exceeds_the_tolerances():
    """One step more or less is far outside the tolerances above."""
    x, y = (np.float64(points) for points in problem("gaussian", size=5, features=3))
    for cost in COSTS:
        epsilon = 0.3 * cost_scale(x, y, cost)
        nine, ten = (eq9.divergence(x, y, epsilon, steps, cost) for steps in (1, 2))
        assert abs(nine / ten - 1) > 1e-3


@pytest.mark.parametrize(("value", "differentiate_plan"), [("sharp", True), ("sharp", False), ("dual", False)])
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
