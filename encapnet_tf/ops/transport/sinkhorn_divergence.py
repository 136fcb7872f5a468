"""Sinkhorn divergence between two sets of points (EncapNet paper, Eq. 11)."""

from keras import ops as K

from encapnet_tf.arguments import one_of
from encapnet_tf.ops.acceleration import run_compiled
from encapnet_tf.ops.counts import with_equal_counts
from encapnet_tf.ops.precision import at_least_float32, floating_together
from encapnet_tf.ops.transport.pairwise_cost import cost_between, cost_within, prepare
from encapnet_tf.ops.transport.plan_gradient import slope_of_cost, slope_of_self_cost
from encapnet_tf.ops.transport.sinkhorn import absolute_epsilon, check_arguments
from encapnet_tf.ops.transport.solvers import solve_fast, solve_plain, solve_symmetric

VALUES = ("sharp", "dual")


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
    """Compute the Sinkhorn divergence between two sets of points (EncapNet paper, Eq. 11).

        S(x, y) = 2 W(x, y) - W(x, x) - W(y, y)

    W is the transport cost under the entropic plan P of Eq. 10. "sharp" is <P, Q>, as in the paper and its release;
    "dual" is mean f + mean g. GeomLoss, OTT and POT return half of the "dual" divergence.

    Args:
        x: (B, features), the generated set u', of any dtype.
        y: (B, features), as many points.
        epsilon: regularisation strength, in units of the cost.
        iterations: L, the number of Sinkhorn iterations between x and y; see `sinkhorn`.
        cost: Q, "cosine", "euclidean" or "sqeuclidean"; see `pairwise_cost`.
        debias: False returns W(x, y) alone, once.
        differentiate_plan: whether the gradient of the "sharp" value includes the gradient through P. The paper found
            it slightly better without. The exact gradient of the "dual" value never needs it.
        value: "sharp" or "dual".
        solver: "fast", or "plain": exactly L steps of Eq. 9 for each of the three problems.
        relative_epsilon: whether epsilon is a share of the mean cost between x and y, which takes no gradient.
        training: whether a gradient will be taken; changes speed and memory, never values.

    Returns:
        A scalar; float32, or float64 for float64 input. It and its gradient are NaN if an input is NaN or infinite, or
        so large that a squared length overflows (1e20 in float32).

    Raises:
        ValueError: the sets differ in size or are empty, epsilon is not positive, iterations is below 1, or a choice
            is unknown.

    Example:

    >>> import numpy as np
    >>> points = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    >>> bool(abs(sinkhorn_divergence(points, points[::-1], 0.1)) < 1e-5)  # equal sets, in another order
    True
    """
    check_arguments(epsilon, iterations, solver)
    one_of("value", value, VALUES)
    x, y = map(at_least_float32, floating_together(x, y))
    if None not in (x.shape[0], y.shape[0]) and x.shape[0] != y.shape[0]:
        raise ValueError(f"The sets must have as many points. Received: shapes {tuple(x.shape)} and {tuple(y.shape)}.")
    if 0 in (x.shape[0], y.shape[0]):
        raise ValueError(f"A set needs at least one point. Received: shapes {tuple(x.shape)} and {tuple(y.shape)}.")
    if len(x.shape) == len(y.shape) == 2:
        x, y = with_equal_counts(x, y)
    options = {
        "iterations": iterations,
        "differentiate_plan": differentiate_plan,
        "value": value,
        "relative_epsilon": relative_epsilon,
    }
    epsilon = K.convert_to_tensor(epsilon, x.dtype)  # a tensor: a compiled function serves all of its values
    if solver == "plain":
        return run_compiled(_plain_divergence, (x, y, epsilon), training, cost=cost, debias=debias, **options)
    x, y = prepare(x, y, cost)
    costs = [cost_between(x, y, cost)]
    if debias:
        costs += [cost_within(x, cost), cost_within(y, cost)]
    # Only this part is compiled. It does not depend on the number of features, so that all feedback units of one batch
    # size share it.
    body = _debiased_value_and_slopes if debias else _value_and_slopes
    amount, slopes = run_compiled(body, [K.stop_gradient(q) for q in (*costs, epsilon)], training, **options)
    return _attach_gradients(amount, slopes, costs)


def _attach_gradients(amount, slopes, costs):
    """Attach precomputed gradients to the value of a Sinkhorn divergence.

    The gradients with respect to the cost matrices are `slopes`, by the envelope theorem.
    """
    zeros = [K.sum(K.stop_gradient(slope) * (q - K.stop_gradient(q))) for slope, q in zip(slopes, costs, strict=True)]
    return K.stop_gradient(amount) + sum(zeros)


def _value_and_slopes(between, epsilon, *, iterations, differentiate_plan, value, relative_epsilon):
    """Compute the entropic transport cost for a cost matrix, and the gradient with respect to that matrix.

    The gradient is in a list.
    """
    epsilon = absolute_epsilon(between, epsilon, relative_epsilon)
    plan, f, g = solve_fast(between, epsilon, iterations)
    amount = K.mean(f) + K.mean(g) if value == "dual" else K.sum(plan * between)
    slope = slope_of_cost(plan, iterations) if differentiate_plan and value == "sharp" else plan
    return K.stop_gradient(amount), [K.stop_gradient(slope)]


def _debiased_value_and_slopes(
    between, within_x, within_y, epsilon, *, iterations, differentiate_plan, value, relative_epsilon
):
    """Compute the Sinkhorn divergence from three cost matrices, and the gradients with respect to these matrices.

    The gradients are in a list. The gradient with respect to a set's cost with itself is taken through one side of the
    symmetric matrix, and counted twice.
    """
    epsilon = absolute_epsilon(between, epsilon, relative_epsilon)
    through_plan = differentiate_plan and value == "sharp"
    amounts, slopes, potential, adjoint = [], [], None, None
    for matrix in (within_x, within_y):
        plan, potential = solve_symmetric(matrix, epsilon)
        slope = plan
        if through_plan:
            slope, adjoint = slope_of_self_cost(plan)
        amounts.append(2.0 * K.mean(potential) if value == "dual" else K.sum(plan * matrix))
        slopes.append(-2.0 * slope)
    # y's potentials, and their adjoint, are good starts for the problem between x and y.
    plan, f, g = solve_fast(between, epsilon, iterations, initial_g=potential)
    slope = slope_of_cost(plan, iterations, initial_beta=adjoint) if through_plan else plan
    amount = K.mean(f) + K.mean(g) if value == "dual" else K.sum(plan * between)
    slopes = [2.0 * slope, *slopes]
    return K.stop_gradient(2.0 * amount - amounts[0] - amounts[1]), [K.stop_gradient(part) for part in slopes]


def _plain_divergence(x, y, epsilon, *, iterations, differentiate_plan, value, relative_epsilon, cost, debias):
    """Compute the Sinkhorn divergence between two sets of points by a fixed number of plain Sinkhorn iterations.

    Each of the three problems takes exactly `iterations` steps of Eq. 9.
    """
    x, y = prepare(x, y, cost)
    between = cost_between(x, y, cost)
    epsilon = absolute_epsilon(between, K.stop_gradient(epsilon), relative_epsilon)

    def transport_cost(matrix):
        plan, f, g = solve_plain(matrix if differentiate_plan else K.stop_gradient(matrix), epsilon, iterations)
        if value == "dual":
            return _attach_gradients(K.mean(f) + K.mean(g), [plan], [matrix])
        return K.sum(plan * matrix)

    if not debias:
        return transport_cost(between)
    within_x, within_y = (transport_cost(cost_within(points, cost, both_sides=True)) for points in (x, y))
    return 2.0 * transport_cost(between) - within_x - within_y
