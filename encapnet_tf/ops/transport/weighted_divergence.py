"""Sinkhorn divergences between weighted point sets, for a batch of pairs of sets.

The two sets of a pair may have any sizes. `sinkhorn_divergence.py` has the faster path for two sets of equally many
points with equal weights.
"""

from keras import ops as K

from encapnet_tf.ops.acceleration import run_compiled
from encapnet_tf.ops.transport.cost_blocks import CostBlocks
from encapnet_tf.ops.transport.cost_matrix import CostMatrix
from encapnet_tf.ops.transport.pairwise_cost import centre, cost_between, cost_within, prepare
from encapnet_tf.ops.transport.weighted_solvers import solve_plain_weighted, solve_symmetric_weighted, solve_weighted


def weighted_divergence(x, y, x_weights, y_weights, epsilon, *, cost, debias, block_size, training, **options):
    """Compute Sinkhorn divergences between weighted point sets.

    Args:
        x, y: (batch, n, features) and (batch, m, features), without absent points: see `replace_absent`.
        x_weights, y_weights: (batch or 1, n) and (batch or 1, m), as `point_weights` returns them.
        epsilon: tensor, a number or (batch,).
        cost: name of the cost, or a function of points with a batch axis.
        debias: False computes the transport cost between x and y alone.
        block_size: points of a block for which costs are computed at a time; None holds matrices of all costs.
        training: as in `sinkhorn_divergence`.
        **options: `iterations`, `differentiate_plan`, `value`, `solver` and `relative_epsilon`, as there.

    Returns:
        (batch,).
    """
    x, y = prepare(x, y, cost)
    # The kernel of a named cost is positive semidefinite, and the fast solver's plan within a set symmetric.
    options["symmetric"] = options["solver"] == "fast" and not callable(cost)
    if block_size is not None:
        return _divergence_by_blocks(
            x, y, x_weights, y_weights, epsilon, cost=cost, debias=debias, block_size=block_size, **options
        )
    costs = [cost_between(x, y, cost)]
    if debias:
        costs += [cost_within(points, cost, both_sides=not options["symmetric"]) for points in (x, y)]
    tensors = list(map(K.stop_gradient, [epsilon, x_weights, y_weights, *costs]))
    amount, slopes = run_compiled(_values_and_slopes, tensors, training, **options)
    return K.stop_gradient(amount) + sum(map(_zero, slopes, costs))


def _values_and_slopes(epsilon, x_weights, y_weights, *costs, relative_epsilon, **options):
    """Compute Sinkhorn divergences from cost matrices, and the gradients with respect to these matrices.

    Args:
        epsilon, x_weights, y_weights, relative_epsilon: as in `weighted_divergence`.
        *costs: between x and y, and, for the divergence, within x and within y; (batch, n, m) and so on.
        **options: of `_solve` and `_value_and_slope`.

    Returns:
        (batch,), and a list of tensors of the shapes of `costs`.
    """
    terms = _terms(x_weights, y_weights, debias=len(costs) > 1)
    epsilon = _absolute(epsilon, relative_epsilon, CostMatrix(costs[0]), *terms[0][:2])
    total, slopes = 0.0, []
    for matrix, (a, b, factor, within) in zip(costs, terms, strict=True):
        density = _solve(CostMatrix(matrix), epsilon, a, b, within, **options)
        amount, slope = _value_and_slope(density, **options)
        total = total + factor * amount
        sides = 2.0 if within and options["symmetric"] else 1.0  # the costs have a gradient through one side only
        slopes.append(factor * sides * density.kernel.map(*slope))
    return total, slopes


def _divergence_by_blocks(
    x, y, x_weights, y_weights, epsilon, *, cost, debias, block_size, relative_epsilon, **options
):  # fmt: skip
    """Compute Sinkhorn divergences from transport costs that are computed in blocks to save memory.

    Arguments are as in `weighted_divergence`.
    """
    terms = _terms(x_weights, y_weights, debias)
    total = 0.0
    for (first, second), (a, b, factor, within) in zip([(x, y), (x, x), (y, y)], terms, strict=False):
        first, second = centre(first, second, cost)
        costs = CostBlocks(K.stop_gradient(first), K.stop_gradient(second), cost, block_size, within)
        if not within:
            epsilon = _absolute(epsilon, relative_epsilon, costs, a, b)
        density = _solve(costs, epsilon, a, b, within, **options)
        amount, slope = _value_and_slope(density, **options)
        function, rows, columns = density.kernel.of_costs(*slope)
        if callable(cost):
            weighted = CostBlocks(first, second, cost, block_size).weighted_sum(function, rows, columns)
            zero = weighted - K.stop_gradient(weighted)
        elif within and options["symmetric"]:
            zero = 2.0 * _zero(costs.gradient(function, rows, columns, axis=-1), first)
        else:
            zero = _zero(costs.gradient(function, rows, columns, axis=-1), first)
            zero = zero + _zero(costs.gradient(function, rows, columns, axis=-2), second)
        total = total + factor * (K.stop_gradient(amount) + zero)
    return total


def _zero(slope, values):
    """Attach a precomputed gradient to a tensor of zeros.

    Return zeros (batch,) whose gradient with respect to `values` is `slope`.
    """
    return K.sum(K.stop_gradient(slope) * (values - K.stop_gradient(values)), axis=(1, 2))


def _terms(x_weights, y_weights, debias):
    """List the optimal transport problems whose costs make up a Sinkhorn divergence.

    Each has the weights of rows and of columns, a factor, and whether it is within one set.
    """
    (a, b), (column, row) = (x_weights[:, :, None], y_weights[:, None, :]), (y_weights[:, :, None], x_weights[:, None])
    problems = [(a, b, 2.0 if debias else 1.0, False)]
    return problems + ([(a, row, -1.0, True), (column, b, -1.0, True)] if debias else [])


def _absolute(epsilon, relative, costs, a, b):
    """Return the regularisation strength, multiplied by the mean transport cost if `relative` is true.

    The shape is (batch or 1, 1, 1).
    """
    epsilon = K.reshape(K.stop_gradient(epsilon), (-1, 1, 1))
    if not relative:
        return epsilon
    mean = K.sum(a * costs.reduce(lambda q, b: q * b, (), (b,), axis=-1), axis=1, keepdims=True)
    return K.maximum(epsilon * mean, 1e-12)


def _solve(costs, epsilon, a, b, within, *, iterations, solver, symmetric, **_):
    """Choose a Sinkhorn solver for an optimal transport problem, and apply it."""
    if solver == "plain":
        return solve_plain_weighted(costs, epsilon, a, b, iterations)
    if within and symmetric:
        return solve_symmetric_weighted(costs, epsilon, a)
    return solve_weighted(costs, epsilon, a, b, iterations)


def _value_and_slope(density, *, iterations, differentiate_plan, value, **_):
    """Compute a transport cost and its gradient with respect to the cost matrix.

    The cost has the shape (batch,), and the gradient the form of `PlanDensity.plan`.
    """
    amount = density.dual_value() if value == "dual" else density.sharp_value()
    return amount, density.cost_gradient(iterations) if differentiate_plan and value == "sharp" else density.plan()
