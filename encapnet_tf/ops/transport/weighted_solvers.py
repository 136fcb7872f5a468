"""Sinkhorn solvers for batches of optimal transport problems between weighted point sets.

The sets may have any sizes.

With weights a and b, kernel K_ij = exp((f_i + g_j - Q_ij) / epsilon) and plan P_ij = a_i u_i K_ij v_j b_j, one Sinkhorn
iteration (Eq. 9 of the paper, where a_i = b_j = 1 / B) is

    u <- 1 / (K (b v)),    v <- 1 / (K' (a u))

A point of weight 0 takes part in no sum. Shapes are those of `cost_matrix.py`.

`solve_weighted` is fast where these iterations are slow. It first lowers epsilon from the largest cost to its value in
a few iterations, each at one strength. Then it maximises the dual value by Newton steps: g follows from f by a Sinkhorn
half step, and f changes by epsilon times the solution of the system of the marginals, by conjugate gradients. One step
of these costs as much as a Sinkhorn iteration and is counted as one. Newton's method converges quadratically, so all
problems but the most extreme are at rounding error after 30 to 60 iterations.
"""

import math

from keras import backend
from keras import ops as K

from encapnet_tf.ops.transport.cost_matrix import transposed
from encapnet_tf.ops.transport.marginal_system import solve_marginals
from encapnet_tf.ops.transport.plain_density import PlainDensity
from encapnet_tf.ops.transport.plan_density import PlanDensity

SYMMETRIC_STEPS = 10
# Weights of alternating damped steps, from the roots of the Chebyshev polynomial for eigenvalues between 1 and 2: two
# steps reduce every error of the symmetric problem to 0.06 of itself.
SYMMETRIC_WEIGHTS = (1 / 1.854, 1 / 1.146)
_MOST_ANNEALING_STEPS = 16
_SCALINGS = 2  # Sinkhorn iterations before each Newton step, and at the end
_MOST_CONJUGATE_STEPS = 10
_CONJUGATE_TOLERANCE = 1e-2
# Largest change of a potential in one Newton step, in units of epsilon. It is halved twice when the error grows.
_FIRST_RADIUS, _LARGEST_RADIUS = 8.0, 16.0
_STALLED = 1e-5  # an error below this that no longer halves is a rounding error


def solve_weighted(costs, epsilon, a, b, iterations):
    """Solve entropic optimal transport by annealed Sinkhorn iterations followed by Newton steps.

    The conjugate gradient steps of which a Newton step consists are counted, too.

    Args:
        costs: `CostMatrix` or `CostBlocks`; no gradient may flow into it.
        epsilon: regularisation strength, (batch or 1, 1, 1).
        a, b: weights, (batch or 1, n, 1) and (batch or 1, 1, m).
        iterations: largest number of steps; fewer are made once all problems have converged.

    Returns:
        `PlanDensity` with exact column sums.
    """
    annealing_steps = max(1, min(iterations // 3, _MOST_ANNEALING_STEPS))
    f, g = _anneal(costs, epsilon, a, b, annealing_steps)
    return refine(costs, epsilon, a, b, f, g, iterations - annealing_steps)


def refine(costs, epsilon, a, b, f, g, iterations):
    """Solve entropic optimal transport by Newton steps from given initial potentials.

    Up to `iterations` Newton and conjugate gradient steps are made.

    Args:
        costs, epsilon, a, b, iterations: as in `solve_weighted`.
        f, g: potentials, (batch, n, 1) and (batch, 1, m).
    """
    budget = iterations - _SCALINGS
    if budget > 2 * _SCALINGS:
        f, g = _newton(costs, epsilon, a, b, f, g, budget)
        iterations = _SCALINGS
    kernel = costs.kernel(f, g, epsilon)
    u, v = _scale(kernel, a, b, K.ones_like(f), iterations)
    return PlanDensity(kernel, epsilon, f, g, u, v, a, b)


def solve_plain_weighted(costs, epsilon, a, b, iterations):
    """Solve entropic optimal transport by a fixed number of plain Sinkhorn iterations.

    They begin with the rows, from v = 1.

    Args:
        costs, epsilon, a, b: as in `solve_weighted`.
        iterations: number of steps.

    Returns:
        `PlainDensity`.
    """
    f, g = costs.zero_potentials()
    kernel = costs.kernel(f, g, epsilon)
    v, steps = K.ones_like(g), []
    for _ in range(iterations):
        u = 1.0 / kernel.sum_over_columns(b * v)
        v = 1.0 / kernel.sum_over_rows(a * u)
        steps.append((u, v))
    return PlainDensity(kernel, epsilon, a, b, steps)


def solve_symmetric_weighted(costs, epsilon, a):
    """Solve entropic optimal transport from a weighted point set to itself.

    The kernel must be positive semidefinite. Both potentials are equal, and one is iterated as in `solve_symmetric` of
    `solvers.py`:

        u <- u^(1 - w) (1 / (K (a u)))^w

    Args:
        costs: `CostMatrix` or `CostBlocks` of symmetric costs (batch, n, n).
        epsilon, a: as in `solve_weighted`.
    """
    f = costs.diagonal() / 2  # the kernel's diagonal is then 1, so no row underflows
    g = transposed(f)
    kernel = costs.kernel(f, g, epsilon)

    def step(log_u, weight):
        sums = kernel.sum_over_columns(transposed(a * K.exp(log_u)))
        return (1 - weight) * log_u - weight * K.log(sums)

    def two_steps(_, log_u):
        for weight in SYMMETRIC_WEIGHTS:
            log_u = step(log_u, weight)
        return log_u

    log_u = K.fori_loop(0, SYMMETRIC_STEPS // 2, two_steps, K.zeros_like(f))
    u = K.exp(step(log_u, 0.5))
    return PlanDensity(kernel, epsilon, f, g, u, transposed(u), a, transposed(a))


def _anneal(costs, epsilon, a, b, steps):
    """Compute dual potentials by Sinkhorn iterations with a gradually decreasing regularisation strength.

    It falls from the largest finite cost to epsilon.
    """
    log_a, log_b = K.log(a), K.log(b)
    largest = costs.reduce(lambda q: K.where(K.isinf(q), 0.0, q), (), (), -1, "max")
    largest = K.maximum(K.max(largest, axis=1, keepdims=True), epsilon)

    def body(i, potentials):
        strength = largest * K.power(epsilon / largest, K.cast(i + 1, largest.dtype) / steps)
        f = _soft_minimum(costs, potentials[1], log_b, strength, axis=-1)
        return f, _soft_minimum(costs, f, log_a, strength, axis=-2)

    return K.fori_loop(0, steps, body, costs.zero_potentials())


def _soft_minimum(costs, potential, log_weights, epsilon, axis):
    """Compute one set's dual potential from the other set's potential by half a Sinkhorn iteration.

    The marginals of the one set are then exact.
    """

    def exponents(q, potential, log_weights):
        return (potential - q) / epsilon + log_weights

    vectors = (potential, log_weights)
    rows, columns = ((), vectors) if axis == -1 else (vectors, ())
    return -epsilon * costs.reduce(exponents, rows, columns, axis, "logsumexp")


def _scale(kernel, a, b, u, steps):
    """Compute the scaling vectors of the Sinkhorn kernel by a fixed number of Sinkhorn iterations.

    They begin and end with the columns. Return u and v.
    """

    def step(_, scalings):
        u = 1.0 / kernel.sum_over_columns(b * scalings[1])
        return u, 1.0 / kernel.sum_over_rows(a * u)

    return K.fori_loop(0, steps, step, (u, 1.0 / kernel.sum_over_rows(a * u)))


def _newton(costs, epsilon, a, b, f, g, budget):
    """Improve dual potentials by Newton steps, within a limited number of iterations.

    The steps maximise the dual value, and take at most `budget` iterations together. Each problem keeps its own
    account, so that its result does not depend on the others.
    """
    unit = 2.0**-52 if backend.standardize_dtype(f.dtype) == "float64" else 2.0**-23

    def cond(_, active, *state):
        return K.any(active)

    def body(count, active, f, g, previous_error, radius):
        kernel = costs.kernel(f, g, epsilon)
        u, v = _scale(kernel, a, b, K.ones_like(f), _SCALINGS)
        density = PlanDensity(kernel, epsilon, f, g, u, v, a, b)
        rows = density.row_sums()
        error = K.sum(a * K.abs(1.0 - rows), axis=1, keepdims=True)
        stalls = (error < _STALLED) & (error > 0.5 * previous_error)
        active = active & (error > 4 * unit) & K.logical_not(stalls)
        radius = K.where(error > 1.1 * previous_error, radius / 4, K.minimum(2 * radius, _LARGEST_RADIUS))
        limits = K.where(active, K.minimum(budget - count - _SCALINGS, _MOST_CONJUGATE_STEPS), 0)
        step, steps = solve_marginals(density, rows, (1.0 - rows) / rows, limits, _CONJUGATE_TOLERANCE)
        length = K.max(K.where(a > 0, K.abs(step), 0.0), axis=1, keepdims=True)
        step = step * K.minimum(1.0, radius / K.maximum(length, radius))
        f = K.where(active, f + epsilon * (K.log(u) + step), f)
        g = K.where(active, g + epsilon * K.log(v), g)
        count = count + _SCALINGS + steps
        return count, active & (count < budget - _SCALINGS), f, g, error, radius

    zeros = K.zeros_like(f[:, 0])[:, None]  # a number for each problem
    state = (
        K.cast(zeros, "int32"),
        K.ones_like(zeros, dtype="bool"),
        f,
        g,
        zeros + math.inf,
        zeros + _FIRST_RADIUS / 2,
    )
    return K.while_loop(cond, body, state)[2:4]
