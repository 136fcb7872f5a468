"""Entropic optimal transport between two weighted point sets, computed from a cost matrix.

With weights a and b and one potential per point, f and g, the plan is

    P_ij = a_i b_j exp((f_i + g_j - Q_ij) / epsilon)

and its marginals are a and b. In Eq. 9 of the paper both sets have B points of weight 1 / B.
"""

import math
import numbers
from typing import Any, NamedTuple

from keras import ops as K

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.ops.precision import at_least_float32
from encapnet_tf.ops.transport.cost_matrix import CostMatrix
from encapnet_tf.ops.transport.point_weights import point_weights, replace_absent
from encapnet_tf.ops.transport.solvers import solve_fast, solve_plain
from encapnet_tf.ops.transport.weighted_solvers import solve_plain_weighted, solve_weighted

SOLVERS = ("fast", "plain")


class SinkhornResult(NamedTuple):
    """Result of entropic optimal transport, with the plan, the dual potentials and the convergence error.

    Attributes:
        plan: P, (n, m), sums to 1.
        potential_x, potential_y: f (n,) and g (m,); 0 for absent points.
        marginal_error: sum over rows and columns of the distances between the plan's sums and the weights; it measures
            convergence.
        epsilon: the regularisation strength in use, in units of the cost.

    For a batch of problems all have a leading batch axis.

    Example:

    >>> import numpy as np
    >>> result = sinkhorn(np.ones((4, 4), "float32"), epsilon=0.5)
    >>> float(result.marginal_error), float(result.epsilon)
    (0.0, 0.5)
    """

    plan: Any
    potential_x: Any
    potential_y: Any
    marginal_error: Any
    epsilon: Any


def check_arguments(epsilon, iterations, solver):
    """Check that epsilon, the number of iterations and the solver name are valid for Sinkhorn's algorithm.

    Raise ValueError if epsilon <= 0, iterations < 1 or the solver is unknown. The value of an epsilon that is a tensor
    is not checked.
    """
    is_number = isinstance(epsilon, numbers.Real) and not isinstance(epsilon, bool)
    if not (0 < epsilon < math.inf if is_number else hasattr(epsilon, "dtype") and not len(epsilon.shape)):
        raise ValueError(f"epsilon must be a positive number. Received: epsilon={epsilon!r}.")
    whole_number("iterations", iterations)
    one_of("solver", solver, SOLVERS)


def absolute_epsilon(cost, epsilon, relative: bool):
    """Multiply the entropic regularisation strength by the mean transport cost if `relative` is true.

    A relative epsilon is multiplied by the mean of the cost matrix.

    Args:
        cost: (B, B).
        epsilon: in units of the cost, or relative.
        relative: whether epsilon is a share of the mean cost, which takes no gradient.
    """
    epsilon = K.convert_to_tensor(epsilon, cost.dtype)
    return K.maximum(epsilon * K.stop_gradient(K.mean(cost)), 1e-12) if relative else epsilon


def sinkhorn(
    cost,
    epsilon,
    iterations: int = 10,
    solver: str = "fast",
    relative_epsilon: bool = False,
    *,
    x_weights=None,
    y_weights=None,
):
    """Solve entropic optimal transport for a cost matrix (EncapNet paper, Eqs. 8 to 10).

        minimise <P, Q> + epsilon * KL(P | a b') over plans P with marginals a and b

    a and b are the weights of the points, 1 / n and 1 / m unless given. No gradient flows through the result.

    Args:
        cost: Q, (n, m), or (batch, n, m) for several problems. An infinite cost forbids a pair; NaN makes the result of
            its problem NaN.
        epsilon: regularisation strength, in units of the cost.
        iterations: L, the number of Sinkhorn iterations; the "fast" solver ends earlier once it has converged.
        solver: "fast" or "plain". "fast" stays stable in float32 for costs up to 1e6 epsilon. Between sets of equal
            size without weights it over-relaxes the steps of Eq. 9 where that converges sooner, and goes on with Newton
            steps after 64 of them. Otherwise it begins with larger epsilons, and then makes Newton steps; each step
            that solves their linear systems counts as an iteration. "plain" makes exactly the steps of Eq. 9, and over-
            or underflows where costs exceed about 87 epsilon.
        relative_epsilon: whether `epsilon` is a share of the mean cost.
        x_weights: a, the weights of the first set's points, (n,) or (batch, n), which sum to 1. A point of weight 0 is
            absent, whatever its costs are. They take no gradient.
        y_weights: b, those of the second set's, (m,) or (batch, m).

    Returns:
        A `SinkhornResult`.

    Raises:
        ValueError: epsilon is not positive, iterations is below 1, the solver is unknown, a shape does not fit, or
            (eagerly) weights are negative or do not sum to 1. In a compiled step such weights make the result NaN.

    Example:

    >>> import numpy as np
    >>> result = sinkhorn(np.array([[0.0, 1.0], [1.0, 0.0]], "float32"), epsilon=0.1)
    >>> print(np.round(np.asarray(result.plan), 3))
    [[0.5 0. ]
     [0.  0.5]]
    >>> result = sinkhorn(np.array([[0.0, 1.0, 4.0]], "float32"), epsilon=0.1, y_weights=[0.5, 0.2, 0.3])
    >>> print(np.round(np.asarray(result.plan), 3))
    [[0.5 0.2 0.3]]
    """
    check_arguments(epsilon, iterations, solver)
    cost = K.stop_gradient(at_least_float32(cost))
    if len(cost.shape) not in (2, 3) or 0 in cost.shape:
        raise ValueError(
            "cost must be a matrix (n, m) of the costs between two sets of at least one point, or (batch, n, m). "
            f"Received: shape {tuple(cost.shape)}."
        )
    has_weights = x_weights is not None or y_weights is not None
    if has_weights or len(cost.shape) == 3 or None in cost.shape or cost.shape[0] != cost.shape[1]:
        return _weighted_sinkhorn(cost, epsilon, iterations, solver, relative_epsilon, x_weights, y_weights)
    epsilon = absolute_epsilon(cost, epsilon, relative_epsilon)
    solve = solve_plain if solver == "plain" else solve_fast
    plan, f, g = solve(cost, epsilon, iterations)
    share = 1.0 / K.cast(K.shape(cost)[0], cost.dtype)
    error = sum(K.sum(K.abs(K.sum(plan, axis=axis) - share)) for axis in (0, 1))
    return SinkhornResult(plan, f, g, error, epsilon)


def _weighted_sinkhorn(cost, epsilon, iterations, solver, relative_epsilon, x_weights, y_weights):
    """Solve entropic optimal transport for a cost matrix and the weights of the points.

    The two sets may have any sizes. Arguments are as in `sinkhorn`.
    """
    is_single = len(cost.shape) == 2
    cost = cost[None] if is_single else cost
    a, b = point_weights("x_weights", x_weights, cost, axis=-2), point_weights("y_weights", y_weights, cost, axis=-1)
    if x_weights is not None:
        cost = replace_absent(cost, a, axis=-2)
    if y_weights is not None:
        cost = replace_absent(cost, b, axis=-1)
    cost = K.where(cost == -math.inf, math.nan, cost)
    a, b = a[:, :, None], b[:, None, :]
    epsilon = K.reshape(K.convert_to_tensor(epsilon, cost.dtype), (-1, 1, 1))
    if relative_epsilon:
        mean = K.sum(a * cost * b, axis=(1, 2), keepdims=True)
        epsilon = K.maximum(epsilon * mean, 1e-12)
    solve = solve_plain_weighted if solver == "plain" else solve_weighted
    density = solve(CostMatrix(cost), epsilon, a, b, iterations)
    plan = density.kernel.map(*density.plan())
    f, g = (K.where(w == 0, 0.0, potential) for w, potential in zip((a, b), density.potentials, strict=True))
    error = sum(
        K.sum(K.abs(K.sum(plan, axis=axis, keepdims=True) - weights), axis=(1, 2)) for axis, weights in ((2, a), (1, b))
    )
    result = SinkhornResult(plan, f[:, :, 0], g[:, 0, :], error, epsilon[:, 0, 0])
    if is_single:
        return SinkhornResult(*(part[0] for part in result))
    return result._replace(epsilon=K.broadcast_to(result.epsilon, K.shape(error)))


def sinkhorn_plan(
    cost,
    epsilon,
    iterations: int = 10,
    solver: str = "fast",
    relative_epsilon: bool = False,
    *,
    x_weights=None,
    y_weights=None,
):
    """Return the entropic optimal transport plan for a cost matrix (EncapNet paper, Eq. 10).

    It is `sinkhorn(...).plan`.

    Args:
        cost, epsilon, iterations, solver, relative_epsilon, x_weights, y_weights: as in `sinkhorn`.

    Returns:
        P, (n, m) or (batch, n, m), with the weights as marginals; no gradient flows through it.

    Raises:
        ValueError: as `sinkhorn`.

    Example:

    >>> import numpy as np
    >>> plan = sinkhorn_plan(np.random.default_rng(0).random((4, 4)), epsilon=0.05, iterations=200)
    >>> print(np.round(np.asarray(plan).sum(axis=1), 4))
    [0.25 0.25 0.25 0.25]
    """
    options = {"x_weights": x_weights, "y_weights": y_weights}
    return sinkhorn(cost, epsilon, iterations, solver, relative_epsilon, **options).plan
