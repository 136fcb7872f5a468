"""The Sinkhorn divergence of two sets of points, Eq. 11 of the paper."""

from keras import ops

from encapnet_tf.ops.pairwise_cost import pairwise_cost, self_cost
from encapnet_tf.ops.precision import at_least_float32
from encapnet_tf.ops.sinkhorn import (
    absolute_epsilon,
    alternating_solution,
    check_arguments,
    plain_solution,
    symmetric_solution,
)

VALUES = ("sharp", "dual")

_ADJOINT_STEPS = 12
_ADJOINT_WEIGHTS = (1 / 1.854, 1 / 1.146)


def sinkhorn_divergence(
    x,
    y,
    epsilon=1.0,
    iterations: int = 10,
    cost: str = "cosine",
    debias: bool = True,
    differentiate_plan: bool = False,
    value: str = "sharp",
    solver: str = "fast",
    relative_epsilon: bool = False,
):
    """Sinkhorn divergence 2 W(x, y) - W(x, x) - W(y, y) of two sets of points (Eq. 11).

    W is the transport cost under the entropic plan P of Eq. 10: <P, Q>, "sharp" as in the paper and its release, or
    mean f + mean g, "dual". GeomLoss, OTT and POT give half of the "dual" divergence.

    Args:
        x: (B, features), the generated set u'.
        y: (B, features), as many points.
        epsilon: regularisation strength, in units of the cost.
        iterations: L, Sinkhorn iterations between x and y.
        cost: Q, "cosine", "euclidean" or "sqeuclidean"; see `pairwise_cost`.
        debias: False returns W(x, y) alone, once.
        differentiate_plan: whether the "sharp" value's gradient includes that through P. The paper found it slightly
            better without. The "dual" value's exact gradient never needs it.
        value: "sharp" or "dual".
        solver: "fast", or "plain": exactly L steps of Eq. 9 for each of the three problems.
        relative_epsilon: whether epsilon is a share of the mean cost between x and y (held fixed in the gradient).

    Returns:
        A scalar; float32, or float64 for float64 input.

    Raises:
        ValueError: the sets differ in size, epsilon is not positive, iterations is below 1, or a choice is unknown.

    Example:

    >>> import numpy as np
    >>> points = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    >>> bool(abs(sinkhorn_divergence(points, points[::-1], 0.1)) < 1e-5)  # the same set in another order
    True
    """
    check_arguments(epsilon, iterations, solver)
    if value not in VALUES:
        raise ValueError(f"value must be one of {', '.join(map(repr, VALUES))}. Received: value={value!r}.")
    x, y = at_least_float32(x), at_least_float32(y)
    if None not in (x.shape[0], y.shape[0]) and x.shape[0] != y.shape[0]:
        raise ValueError(f"The sets must have as many points. Received: shapes {tuple(x.shape)} and {tuple(y.shape)}.")
    between = pairwise_cost(x, y, cost)
    epsilon = absolute_epsilon(between, epsilon, relative_epsilon)
    if solver == "plain":
        terms = _plain_terms(x, y, between, epsilon, iterations, cost, debias, differentiate_plan, value)
    else:
        terms = _fast_terms(x, y, between, epsilon, iterations, cost, debias, differentiate_plan, value)
    if not debias:
        return terms[0]
    return 2.0 * terms[0] - terms[1] - terms[2]


def _plain_terms(x, y, between, epsilon, iterations, cost, debias, differentiate_plan, value):
    costs = [between]
    if debias:
        costs += [self_cost(x, cost, both_sides=True), self_cost(y, cost, both_sides=True)]

    def term(matrix):
        fixed = matrix if differentiate_plan else ops.stop_gradient(matrix)
        plan, f, g = plain_solution(fixed, epsilon, iterations)
        if value == "dual":
            return _with_gradient(ops.mean(f) + ops.mean(g), plan, matrix)
        return ops.sum(plan * matrix)

    return [term(matrix) for matrix in costs]


def _fast_terms(x, y, between, epsilon, iterations, cost, debias, differentiate_plan, value):
    """The three problems, the two symmetric ones first: y's own potentials are a good start for the one between."""
    through_plan = differentiate_plan and value == "sharp"
    terms, start, adjoint_start = [], None, None
    if debias:
        for points in (x, y):
            matrix = self_cost(points, cost)
            fixed = ops.stop_gradient(matrix)
            plan, start = symmetric_solution(fixed, epsilon)
            slope = plan
            if through_plan:
                adjoint_start = _symmetric_adjoint(plan)
                slope = _slope(plan, adjoint_start, ops.transpose(adjoint_start))
            amount = 2.0 * ops.mean(start) if value == "dual" else ops.sum(plan * fixed)
            terms.append(_with_gradient(amount, 2.0 * slope, matrix))
    fixed = ops.stop_gradient(between)
    plan, f, g = alternating_solution(fixed, epsilon, iterations, start)
    slope = plan
    if through_plan:
        slope = _slope(plan, *_adjoint(plan, iterations, adjoint_start))
    amount = ops.mean(f) + ops.mean(g) if value == "dual" else ops.sum(plan * fixed)
    return [_with_gradient(amount, slope, between), *terms]


def _with_gradient(amount, slope, cost):
    """`amount` in value, <slope, dQ> in gradient: the envelope theorem, with nothing but stop_gradient."""
    amount, slope = ops.stop_gradient(amount), ops.stop_gradient(slope)
    return amount + ops.sum(slope * (cost - ops.stop_gradient(cost)))


def _slope(plan, alpha, beta):
    """d<P, Q>/dQ at the solution, with the change of P: P * (1 - (D - alpha_i - beta_j)), D = -log(B^2 P).

    alpha + beta is what the marginals hold fixed: D's projection, under P, on the sums of a number for each row and one
    for each column.
    (D is (Q - f - g) / epsilon, so the projection of Q / epsilon leaves the same; but D is small at any epsilon.)
    """
    return plan * (1.0 - (_sparsity(plan) - alpha - beta))


def _sparsity(plan):
    """D = -log(B^2 P), cut off where the plan is next to nothing."""
    size = ops.cast(ops.shape(plan)[0], plan.dtype)
    return -ops.log(ops.maximum(ops.square(size) * plan, 1e-26))


def _adjoint(plan, iterations, start):
    """alpha (B, 1) and beta (1, B) of `_slope`, by alternating means.

    The means are over P's own rows and columns: where the plan has not converged, 1 / B in their place would diverge.
    """
    weighted = plan * _sparsity(plan)
    rows, columns = (ops.maximum(ops.sum(plan, axis=axis, keepdims=True), 1e-30) for axis in (1, 0))
    of_rows, of_columns = (
        ops.sum(weighted, axis=1, keepdims=True) / rows,
        ops.sum(weighted, axis=0, keepdims=True) / columns,
    )

    def step(_, potentials):
        alpha = of_rows - ops.matmul(plan, ops.transpose(potentials[1])) / rows
        return alpha, of_columns - ops.matmul(ops.transpose(alpha), plan) / columns

    beta = ops.zeros_like(columns) if start is None else ops.transpose(start)
    return ops.fori_loop(0, iterations, step, (ops.zeros_like(rows), beta))


def _symmetric_adjoint(plan):
    """`_adjoint` where x is y: alpha = beta, (B, 1), by the two over-relaxed steps of the symmetric solver."""
    rows = ops.maximum(ops.sum(plan, axis=1, keepdims=True), 1e-30)
    of_rows = ops.sum(plan * _sparsity(plan), axis=1, keepdims=True) / rows
    alpha = ops.zeros_like(of_rows)
    for i in range(_ADJOINT_STEPS):
        alpha = alpha + _ADJOINT_WEIGHTS[i % 2] * (of_rows - ops.matmul(plan, alpha) / rows - alpha)
    return alpha
