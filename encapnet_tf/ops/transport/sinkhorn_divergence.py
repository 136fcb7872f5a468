"""The Sinkhorn divergence of two sets of points, Eq. 11 of the paper."""

from keras import ops

from encapnet_tf.arguments import one_of
from encapnet_tf.ops.acceleration import compiled
from encapnet_tf.ops.precision import at_least_float32
from encapnet_tf.ops.transport.pairwise_cost import between, prepared, within
from encapnet_tf.ops.transport.sinkhorn import (
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
    training: bool = False,
):
    """Sinkhorn divergence 2 W(x, y) - W(x, x) - W(y, y) of two sets of points (Eq. 11).

    W is the transport cost under the entropic plan P of Eq. 10: <P, Q>, "sharp" as in the paper and its release, or
    mean f + mean g, "dual". GeomLoss, OTT and POT give half of the "dual" divergence.

    Args:
        x: (B, features), the generated set u'.
        y: (B, features), as many points.
        epsilon: regularisation strength, in units of the cost.
        iterations: L, Sinkhorn iterations between x and y; at most so many, see `sinkhorn`.
        cost: Q, "cosine", "euclidean" or "sqeuclidean"; see `pairwise_cost`.
        debias: False returns W(x, y) alone, once.
        differentiate_plan: whether the "sharp" value's gradient includes that through P. The paper found it slightly
            better without. The "dual" value's exact gradient never needs it.
        value: "sharp" or "dual".
        solver: "fast", or "plain": exactly L steps of Eq. 9 for each of the three problems.
        relative_epsilon: whether epsilon is a share of the mean cost between x and y (held fixed in the gradient).
        training: whether a gradient will be taken; a hint for speed, never of the values.

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
    one_of("value", value, VALUES)
    x, y = at_least_float32(x), at_least_float32(y)
    if None not in (x.shape[0], y.shape[0]) and x.shape[0] != y.shape[0]:
        raise ValueError(f"The sets must have as many points. Received: shapes {tuple(x.shape)} and {tuple(y.shape)}.")
    options = (iterations, differentiate_plan, value, relative_epsilon)
    training = training and not hasattr(epsilon, "dtype")  # what is compiled takes it as a number
    if solver == "plain":
        return compiled(_plain_divergence, (x, y), (epsilon, *options, cost, debias), training)
    x, y = prepared(x, y, cost)
    costs = [between(x, y, cost)]
    if debias:
        costs += [within(x, cost), within(y, cost)]
    # Only this part is compiled: it does not depend on the number of features, so units of one batch size share it.
    amount, slopes = compiled(_solved, [ops.stop_gradient(q) for q in costs], ((epsilon, *options),), training)
    changes = [ops.sum(slope * (q - ops.stop_gradient(q))) for slope, q in zip(slopes, costs, strict=True)]
    return amount + sum(changes)  # the envelope theorem, with nothing but stop_gradient: the changes are 0


def _solved(*arguments):
    """Value of the divergence and its slope with respect to each cost matrix: between, of x, of y.

    The two symmetric problems come first: y's own potentials are a good start for the one between.

    Args:
        *arguments: one cost matrix or three, then (epsilon, iterations, differentiate_plan, value, relative_epsilon).
    """
    of_both, *own, (epsilon, iterations, differentiate_plan, value, relative_epsilon) = arguments
    epsilon = absolute_epsilon(of_both, epsilon, relative_epsilon)
    through_plan = differentiate_plan and value == "sharp"
    amounts, slopes, start, adjoint_start = [], [], None, None
    for matrix in own:
        plan, start = symmetric_solution(matrix, epsilon)
        slope = plan
        if through_plan:
            adjoint_start = _symmetric_adjoint(plan)
            slope = _slope(plan, adjoint_start, ops.transpose(adjoint_start))
        amounts.append(2.0 * ops.mean(start) if value == "dual" else ops.sum(plan * matrix))
        slopes.append(-2.0 * slope)  # through one side of a symmetric matrix, counted twice
    plan, f, g = alternating_solution(of_both, epsilon, iterations, start)
    slope = _slope(plan, *_adjoint(plan, iterations, adjoint_start)) if through_plan else plan
    amount = ops.mean(f) + ops.mean(g) if value == "dual" else ops.sum(plan * of_both)
    if not own:
        return ops.stop_gradient(amount), [ops.stop_gradient(slope)]
    slopes = [2.0 * slope, *slopes]
    return ops.stop_gradient(2.0 * amount - amounts[0] - amounts[1]), [ops.stop_gradient(part) for part in slopes]


def _plain_divergence(x, y, epsilon, iterations, differentiate_plan, value, relative_epsilon, cost, debias):
    """With exactly `iterations` steps of Eq. 9 for each of the three problems."""
    x, y = prepared(x, y, cost)
    costs = between(x, y, cost)
    epsilon = absolute_epsilon(costs, epsilon, relative_epsilon)

    def term(matrix):
        fixed = matrix if differentiate_plan else ops.stop_gradient(matrix)
        plan, f, g = plain_solution(fixed, epsilon, iterations)
        if value == "dual":
            return _with_gradient(ops.mean(f) + ops.mean(g), plan, matrix)
        return ops.sum(plan * matrix)

    if not debias:
        return term(costs)
    of_x, of_y = (term(within(points, cost, both_sides=True)) for points in (x, y))
    return 2.0 * term(costs) - of_x - of_y


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
