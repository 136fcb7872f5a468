"""Sinkhorn divergence between two sets of points (EncapNet paper, Eq. 11)."""

import functools

from keras import ops as K

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.ops.acceleration import run_compiled
from encapnet_tf.ops.counts import with_equal_counts
from encapnet_tf.ops.precision import at_least_float32, floating_together
from encapnet_tf.ops.transport.pairwise_cost import check_cost, cost_between, cost_within, prepare
from encapnet_tf.ops.transport.plan_gradient import slope_of_cost, slope_of_self_cost
from encapnet_tf.ops.transport.point_weights import point_weights, replace_absent
from encapnet_tf.ops.transport.sinkhorn import absolute_epsilon, check_arguments
from encapnet_tf.ops.transport.solvers import MOST_RELAXED_STEPS, solve_fast, solve_plain, solve_symmetric
from encapnet_tf.ops.transport.weighted_divergence import weighted_divergence

VALUES = ("sharp", "dual")


def sinkhorn_divergence(
    x,
    y,
    epsilon=1.0,
    iterations: int = 10,
    cost="cosine",
    debias: bool = True,
    differentiate_plan: bool = False,
    value: str = "sharp",
    solver: str = "fast",
    relative_epsilon: bool = False,
    training: bool = False,
    *,
    x_weights=None,
    y_weights=None,
    block_size: int | None = None,
):
    """Compute the Sinkhorn divergence between two sets of points (EncapNet paper, Eq. 11).

        S(x, y) = 2 W(x, y) - W(x, x) - W(y, y)

    W is the transport cost under the entropic plan P of Eq. 10. "sharp" is <P, Q>, as in the paper and its release;
    "dual" is sum_i a_i f_i + sum_j b_j g_j. GeomLoss, OTT and POT return half of the "dual" divergence.

    Args:
        x: (n, features), the generated set u', of any dtype; or (batch, n, features) for several pairs of sets.
        y: (m, features), or (batch, m, features).
        epsilon: regularisation strength, in units of the cost.
        iterations: L, the number of Sinkhorn iterations between x and y; see `sinkhorn`.
        cost: Q, "cosine", "euclidean" or "sqeuclidean"; or a function of x and y that returns all costs, (n, m) or
            (batch, n, m), with cost(y, x) the transpose of cost(x, y). See `pairwise_cost`.
        debias: False returns W(x, y) alone, once.
        differentiate_plan: whether the gradient of the "sharp" value includes the gradient through P. The paper found
            it slightly better without. The exact gradient of the "dual" value never needs it.
        value: "sharp" or "dual".
        solver: "fast", or "plain": exactly L steps of Eq. 9 for each of the three problems.
        relative_epsilon: whether epsilon is a share of the mean cost between x and y, which takes no gradient.
        training: whether a gradient will be taken; changes speed and memory, never values.
        x_weights: weights of the points of x, (n,) or (batch, n), which sum to 1; None weighs all points alike. A point
            of weight 0 is absent: it changes no value, takes no gradient, and may be NaN. So sets of different sizes
            fit one tensor. Weights take no gradient.
        y_weights: those of the points of y, (m,) or (batch, m).
        block_size: None, or a number of points: costs are then computed for blocks of so many points of x and of y at a
            time, again whenever they are needed. It takes more time, and memory for the points instead of all pairs.

    Returns:
        A scalar, or (batch,); float32, or float64 for float64 input. It and its gradient are NaN if an input is NaN or
        infinite, or so large that a squared length overflows (1e20 in float32); in a batch, those of that pair of sets.

    Raises:
        ValueError: a shape does not fit, a set is empty, epsilon is not positive, iterations or block_size is below 1,
            a choice is unknown, or (eagerly) weights are negative or do not sum to 1. In a compiled step such weights
            make the value NaN. Where a compiled step does not know the sizes of two sets without weights, it fails
            unless they are equal.

    Example:

    >>> import numpy as np
    >>> points = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    >>> bool(abs(sinkhorn_divergence(points, points[::-1], 0.1)) < 1e-5)  # equal sets, in another order
    True
    >>> divergence = sinkhorn_divergence(points, points[:5], 0.1, y_weights=[0.5, 0.2, 0.1, 0.1, 0.1])
    >>> bool(divergence > 0.1)
    True
    """
    check_arguments(epsilon, iterations, solver)
    one_of("value", value, VALUES)
    check_cost(cost)
    x, y = map(at_least_float32, floating_together(x, y))
    if 0 in (*x.shape[:-1], *y.shape[:-1]):
        raise ValueError(f"A set needs at least one point. Received: shapes {tuple(x.shape)} and {tuple(y.shape)}.")
    options = {
        "iterations": iterations,
        "differentiate_plan": differentiate_plan,
        "value": value,
        "relative_epsilon": relative_epsilon,
    }
    epsilon = K.convert_to_tensor(epsilon, x.dtype)  # a tensor: a compiled function serves all of its values
    has_equal_sets = len(x.shape) == len(y.shape) == 2 and (
        None in (x.shape[0], y.shape[0]) or x.shape[0] == y.shape[0]
    )
    is_plain_call = x_weights is None and y_weights is None and block_size is None and not callable(cost)
    if not (has_equal_sets and is_plain_call):
        block_size = None if block_size is None else whole_number("block_size", block_size)
        options |= {"cost": cost, "debias": debias, "solver": solver, "block_size": block_size, "training": training}
        return _general_divergence(x, y, x_weights, y_weights, epsilon, **options)
    x, y = with_equal_counts(x, y)
    if solver == "plain":
        return run_compiled(_plain_divergence, (x, y, epsilon), training, cost=cost, debias=debias, **options)
    x, y = prepare(x, y, cost)
    is_exact = iterations > MOST_RELAXED_STEPS  # many iterations ask for accuracy rather than speed
    costs = [cost_between(x, y, cost, is_exact)]
    if debias:
        costs += [cost_within(points, cost, is_exact=is_exact) for points in (x, y)]
    # Only this part is compiled. It does not depend on the number of features, so that all feedback units of one batch
    # size share it.
    body = _debiased_value_and_slopes if debias else _value_and_slopes
    amount, slopes = run_compiled(body, [K.stop_gradient(q) for q in (*costs, epsilon)], training, **options)
    return _attach_gradients(amount, slopes, costs)


def _general_divergence(x, y, x_weights, y_weights, epsilon, *, cost, **options):
    """Compute the Sinkhorn divergence of each pair in a batch of weighted point sets.

    The two sets of a pair may have any sizes. Arguments are as in `sinkhorn_divergence`. Without a batch axis, a batch
    of one pair is computed.
    """
    x, y = prepare(x, y, "sqeuclidean")  # checks the shapes, and leaves the points as they are
    is_single = len(x.shape) == 2
    if is_single:
        x, y = x[None], y[None]
        cost = functools.partial(_cost_of_one_pair, cost=cost) if callable(cost) else cost
    a, b = point_weights("x_weights", x_weights, x), point_weights("y_weights", y_weights, y)
    x = x if x_weights is None else replace_absent(x, a)
    y = y if y_weights is None else replace_absent(y, b)
    values = weighted_divergence(x, y, a, b, epsilon, cost=cost, **options)
    return values[0] if is_single else values


def _cost_of_one_pair(x, y, cost):
    """Call a cost function without batch support on two point sets that have a batch axis of size 1."""
    return cost_between(x[0], y[0], cost)[None]


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
    between = cost_between(x, y, cost, is_exact=False)
    epsilon = absolute_epsilon(between, K.stop_gradient(epsilon), relative_epsilon)

    def transport_cost(matrix):
        plan, f, g = solve_plain(matrix if differentiate_plan else K.stop_gradient(matrix), epsilon, iterations)
        if value == "dual":
            return _attach_gradients(K.mean(f) + K.mean(g), [plan], [matrix])
        return K.sum(plan * matrix)

    if not debias:
        return transport_cost(between)
    within_x, within_y = (
        transport_cost(cost_within(points, cost, both_sides=True, is_exact=False)) for points in (x, y)
    )
    return 2.0 * transport_cost(between) - within_x - within_y
