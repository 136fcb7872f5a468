"""Entropic optimal transport between two point sets of equal size and uniform weights.

With one potential per point, f and g, the plan is

    P_ij = exp((f_i + g_j - Q_ij) / epsilon) / B^2

and its marginals are 1 / B. The scalings of Eq. 9 are a = exp(f / epsilon) / B and b = exp(g / epsilon) / B.
"""

import math
import numbers
from typing import Any, NamedTuple

from keras import ops as K

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.ops.precision import at_least_float32
from encapnet_tf.ops.transport.solvers import solve_fast, solve_plain

SOLVERS = ("fast", "plain")


class SinkhornResult(NamedTuple):
    """Result of entropic optimal transport: the transport plan, the dual potentials and the convergence error.

    Attributes:
        plan: P, (B, B), sums to 1.
        potential_x, potential_y: f and g, (B,).
        marginal_error: sum over rows and columns of the distances between the plan's sums and 1 / B; it measures
            convergence.
        epsilon: the regularisation strength in use, in units of the cost.

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
    if not (0 < epsilon < math.inf if is_number else hasattr(epsilon, "dtype")):
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


def sinkhorn(cost, epsilon, iterations: int = 10, solver: str = "fast", relative_epsilon: bool = False):
    """Solve entropic optimal transport for a cost matrix (EncapNet paper, Eqs. 8 to 10).

        minimise <P, Q> + epsilon * KL(P | 1 / B^2) over plans P with marginals 1 / B

    No gradient flows through the result.

    Args:
        cost: Q, (B, B). An infinite cost forbids a pair; NaN makes the result NaN.
        epsilon: regularisation strength, in units of the cost.
        iterations: L, the number of Sinkhorn iterations; the "fast" solver ends earlier once it has converged.
        solver: "fast" or "plain". "fast" stays stable in float32 for costs up to 1e6 epsilon, and over-relaxes the
            steps of Eq. 9 where that converges sooner. "plain" makes exactly the steps of Eq. 9, and over- or
            underflows where costs exceed about 87 epsilon.
        relative_epsilon: whether `epsilon` is a share of the mean cost.

    Returns:
        A `SinkhornResult`.

    Raises:
        ValueError: epsilon is not positive, iterations is below 1, the solver is unknown, the matrix is not square.

    Example:

    >>> import numpy as np
    >>> result = sinkhorn(np.array([[0.0, 1.0], [1.0, 0.0]], "float32"), epsilon=0.1)
    >>> print(np.round(np.asarray(result.plan), 3))
    [[0.5 0. ]
     [0.  0.5]]
    """
    check_arguments(epsilon, iterations, solver)
    cost = K.stop_gradient(at_least_float32(cost))
    if len(cost.shape) != 2 or (None not in cost.shape and cost.shape[0] != cost.shape[1]):
        raise ValueError(
            "cost must be a square matrix, between two sets of equally many points. "
            f"Received: shape {tuple(cost.shape)}."
        )
    epsilon = absolute_epsilon(cost, epsilon, relative_epsilon)
    solve = solve_plain if solver == "plain" else solve_fast
    plan, f, g = solve(cost, epsilon, iterations)
    share = 1.0 / K.cast(K.shape(cost)[0], cost.dtype)
    error = sum(K.sum(K.abs(K.sum(plan, axis=axis) - share)) for axis in (0, 1))
    return SinkhornResult(plan, f, g, error, epsilon)


def sinkhorn_plan(cost, epsilon, iterations: int = 10, solver: str = "fast", relative_epsilon: bool = False):
    """Return the entropic optimal transport plan for a cost matrix (EncapNet paper, Eq. 10).

    It is `sinkhorn(...).plan`.

    Args:
        cost, epsilon, iterations, solver, relative_epsilon: as in `sinkhorn`.

    Returns:
        P, (B, B), marginals 1 / B; no gradient flows through it.

    Raises:
        ValueError: as `sinkhorn`.

    Example:

    >>> import numpy as np
    >>> plan = sinkhorn_plan(np.random.default_rng(0).random((4, 4)), epsilon=0.05, iterations=200)
    >>> print(np.round(np.asarray(plan).sum(axis=1), 4))
    [0.25 0.25 0.25 0.25]
    """
    return sinkhorn(cost, epsilon, iterations, solver, relative_epsilon).plan
