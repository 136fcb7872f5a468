"""The Sinkhorn divergence of two sets of points, Eq. 11 of the paper."""

from keras import ops

from encapnet_tf.ops.pairwise_cost import pairwise_cost, self_cost
from encapnet_tf.ops.precision import at_least_float32
from encapnet_tf.ops.sinkhorn import (
    absolute_epsilon,
    alternating_potentials,
    check_arguments,
    plain_potentials,
    plan_of,
    symmetric_potential,
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
    if x.shape[0] != y.shape[0]:
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
        f, g = plain_potentials(fixed, epsilon, iterations)
        if value == "dual":
            return _with_gradient(ops.mean(f) + ops.mean(g), plan_of(fixed, epsilon, f, g), matrix)
        return ops.sum(plan_of(fixed, epsilon, f, g) * matrix)

    return [term(matrix) for matrix in costs]


def _fast_terms(x, y, between, epsilon, iterations, cost, debias, differentiate_plan, value):
    """The three problems, the two symmetric ones first: y's own potential is a good start for the one between."""
    terms, start = [], None
    if debias:
        for points in (x, y):
            matrix = self_cost(points, cost)
            fixed = ops.stop_gradient(matrix)
            start = symmetric_potential(fixed, epsilon)
            plan = plan_of(fixed, epsilon, start, start)
            slope = 2.0 * (_symmetric_slope(plan, fixed, epsilon) if differentiate_plan and value == "sharp" else plan)
            amount = 2.0 * ops.mean(start) if value == "dual" else ops.sum(plan * fixed)
            terms.append(_with_gradient(amount, slope, matrix))
    fixed = ops.stop_gradient(between)
    f, g = alternating_potentials(fixed, epsilon, iterations, start)
    plan = plan_of(fixed, epsilon, f, g)
    slope = _slope(plan, fixed, epsilon, iterations) if differentiate_plan and value == "sharp" else plan
    amount = ops.mean(f) + ops.mean(g) if value == "dual" else ops.sum(plan * fixed)
    return [_with_gradient(amount, slope, between), *terms]


def _with_gradient(amount, slope, cost):
    """`amount` in value, <slope, dQ> in gradient: the envelope theorem, with nothing but stop_gradient."""
    amount, slope = ops.stop_gradient(amount), ops.stop_gradient(slope)
    return amount + ops.sum(slope * (cost - ops.stop_gradient(cost)))


def _slope(plan, cost, epsilon, iterations):
    """d<P, Q>/dQ at the solution, with the change of P: P * (1 - (Q - alpha_i - beta_j) / epsilon).

    alpha + beta is the part of Q that the marginals hold fixed: its projection under P, found by alternating means.
    """
    size = ops.cast(ops.shape(cost)[0], cost.dtype)

    def step(_, potentials):
        alpha = size * ops.sum(plan * (cost - potentials[1]), axis=1, keepdims=True)
        return alpha, size * ops.sum(plan * (cost - alpha), axis=0, keepdims=True)

    start = (ops.zeros_like(cost[:, :1]), ops.zeros_like(cost[:1, :]))
    alpha, beta = ops.fori_loop(0, iterations, step, start)
    return plan * (1.0 - (cost - alpha - beta) / epsilon)


def _symmetric_slope(plan, cost, epsilon):
    """`_slope` where x is y: alpha = beta, found by the two over-relaxed steps of the symmetric solver."""
    size = ops.cast(ops.shape(cost)[0], cost.dtype)
    alpha = ops.zeros_like(cost[:, :1])
    for i in range(_ADJOINT_STEPS):
        mean = size * ops.sum(plan * (cost - ops.transpose(alpha)), axis=1, keepdims=True)
        alpha = alpha + _ADJOINT_WEIGHTS[i % 2] * (mean - alpha)
    return plan * (1.0 - (cost - alpha - ops.transpose(alpha)) / epsilon)
