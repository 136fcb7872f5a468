"""Entropic optimal transport between two sets of equally many, equally heavy points.

Everything is in the density form: the plan is P = exp((f_i + g_j - Q_ij) / epsilon) / B^2, with one potential a point
(a = exp(f / epsilon) / B and b = exp(g / epsilon) / B are the scalings of Eq. 9), so its marginals are 1 / B.
"""

import math
import numbers
from typing import Any, NamedTuple

from keras import ops
from keras.backend import standardize_dtype

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.ops.precision import at_least_float32

SOLVERS = ("fast", "plain")

_LARGEST_EXPONENT = 80.0  # exp(80) is about the largest float32
_LARGEST_SCALING = 1e18
_LARGEST_RELAXATION = 1.7
_PLAIN_STEPS = 4  # before the contraction is measured
_SYMMETRIC_STEPS = 10
# Two over-relaxed steps in turn, the Chebyshev pair for a contraction between 1 and 2: together they shrink every error
# of the symmetric problem by 0.06.
_SYMMETRIC_WEIGHTS = (1 / 1.854, 1 / 1.146)


class SinkhornResult(NamedTuple):
    """What a Sinkhorn solver found.

    Attributes:
        plan: P, (B, B), sums to 1.
        potential_x, potential_y: f and g, (B,).
        marginal_error: sum of what the plan's row and column sums miss 1 / B by, a measure of convergence.
        epsilon: the regularisation strength in force.

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
    """Raises a ValueError for an epsilon that is not positive, fewer than 1 iteration or an unknown solver."""
    is_number = isinstance(epsilon, numbers.Real) and not isinstance(epsilon, bool)
    if not (0 < epsilon < math.inf if is_number else hasattr(epsilon, "dtype")):  # a tensor's value is not looked at
        raise ValueError(f"epsilon must be a positive number. Received: epsilon={epsilon!r}.")
    whole_number("iterations", iterations)
    one_of("solver", solver, SOLVERS)


def absolute_epsilon(cost, epsilon, relative: bool):
    """epsilon itself, or as a share of the mean cost (held fixed in the gradient), in the cost's dtype."""
    epsilon = ops.convert_to_tensor(epsilon, cost.dtype)
    return ops.maximum(epsilon * ops.stop_gradient(ops.mean(cost)), 1e-12) if relative else epsilon


def sinkhorn(cost, epsilon, iterations: int = 10, solver: str = "fast", relative_epsilon: bool = False):
    """Solves the entropic transport problem of a cost matrix: Eqs. 8 to 10 of the paper.

    Minimises <P, Q> + epsilon * KL(P | 1 / B^2) over plans with marginals 1 / B. No gradient flows through the result.

    Args:
        cost: Q, (B, B).
        epsilon: regularisation strength, in units of the cost.
        iterations: L, Sinkhorn iterations; at most so many with the "fast" solver, which ends where none of the
            potentials moves any more.
        solver: "fast" stays stable in float32 for costs up to 1e6 epsilon, and goes further than Eq. 9 in each step
            where that converges sooner; "plain" makes exactly the steps of Eq. 9, and over- or underflows where costs
            exceed about 87 epsilon.
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
    cost = ops.stop_gradient(at_least_float32(cost))
    if len(cost.shape) != 2 or cost.shape[0] != cost.shape[1]:
        raise ValueError(f"cost must be a square matrix: sets of equal size. Received: shape {tuple(cost.shape)}.")
    epsilon = absolute_epsilon(cost, epsilon, relative_epsilon)
    solve = plain_solution if solver == "plain" else alternating_solution
    plan, f, g = solve(cost, epsilon, iterations)
    share = 1.0 / ops.cast(ops.shape(cost)[0], cost.dtype)
    error = sum(ops.sum(ops.abs(ops.sum(plan, axis=axis) - share)) for axis in (0, 1))
    return SinkhornResult(plan, f, g, error, epsilon)


def sinkhorn_plan(cost, epsilon, iterations: int = 10, solver: str = "fast", relative_epsilon: bool = False):
    """The transport plan of a cost matrix, Eq. 10: `sinkhorn(...).plan`.

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


def plain_solution(cost, epsilon, iterations):
    """Exactly `iterations` steps of Eq. 9 from b = 1 / B, the rows' scaling first; unrolled, to be differentiated.

    Args:
        cost: (B, B).
        epsilon: regularisation strength.
        iterations: number of steps.

    Returns:
        P (B, B), f and g (B,).
    """
    size = ops.cast(ops.shape(cost)[0], cost.dtype)
    kernel = ops.exp(-cost / epsilon)
    v = ops.ones_like(cost[:1, :])
    for _ in range(iterations):
        u = size / ops.sum(kernel * v, axis=1, keepdims=True)
        v = size / ops.sum(kernel * u, axis=0, keepdims=True)
    plan = u * kernel * v / ops.square(size)
    return plan, epsilon * ops.log(u[:, 0]), epsilon * ops.log(v[0, :])


def alternating_solution(cost, epsilon, iterations, start=None):
    """Eq. 9 in exponentials that cannot overflow: after so many steps the scalings are absorbed into the potentials.

    Args:
        cost: (B, B); no gradient may flow into it.
        epsilon: regularisation strength.
        iterations: most steps to make; none after they change nothing any more.
        start: potentials g to begin with, (B,); None begins with the lowest that every point can have.

    Returns:
        P (B, B), f and g (B,).
    """
    size = ops.cast(ops.shape(cost)[0], cost.dtype)
    if start is None:
        # Every row and column of the kernel then has a largest entry of 1.
        f = ops.min(cost, axis=1)
        g = ops.min(cost - f[:, None], axis=0)
    else:
        f = epsilon * (ops.log(size) - ops.logsumexp((start[None, :] - cost) / epsilon, axis=1))
        g = epsilon * (ops.log(size) - ops.logsumexp((f[:, None] - cost) / epsilon, axis=0))

    # A step moves a potential by about epsilon * log B at most, so that many cannot overflow.
    most = max(2, int(_LARGEST_EXPONENT / math.log(max(3, cost.shape[0] or 4096)) / _LARGEST_RELAXATION) - 2)
    if iterations <= _PLAIN_STEPS + 1:
        return _plain_block(cost, epsilon, f, g, iterations)[:3]
    _, f, g, relaxation = _plain_block(cost, epsilon, f, g, _PLAIN_STEPS)
    blocks, rest = divmod(iterations - _PLAIN_STEPS - 1, most)
    if rest:
        f, g = _relaxed_block(cost, epsilon, f, g, rest, relaxation)
    if blocks:

        def block(f, g):
            return _relaxed_block(cost, epsilon, f, g, most, relaxation)

        f, g = _until_settled(block, (f, g), blocks, epsilon)
    return _plain_block(cost, epsilon, f, g, 1)[:3]  # ends with exact column sums


def _until_settled(block, potentials, most, epsilon):
    """Blocks of steps, at most so many; none after one that moved no potential by more than rounding does."""

    def goes_on(count, moved, *_):
        return ops.logical_and(moved, count < most)

    def following(count, _, *before):
        after = block(*before)
        moved = [ops.any(ops.abs(new - old) > _rounding(new, epsilon)) for new, old in zip(after, before, strict=True)]
        return count + 1, ops.logical_or(*moved), *after

    return ops.while_loop(goes_on, following, (0, ops.convert_to_tensor(True), *potentials))[2:]


def _rounding(potential, epsilon):
    """How far a potential moves by rounding alone."""
    unit = 2.0**-52 if standardize_dtype(potential.dtype) == "float64" else 2.0**-23
    return 4 * unit * (ops.max(ops.abs(potential)) + epsilon)


def _plain_block(cost, epsilon, f, g, steps):
    """A few steps of Eq. 9 from given potentials.

    Returns:
        The plan, from the scalings before they are absorbed (where costs are 1e6 epsilon, rounding a potential moves
        it); the new potentials; and the over-relaxation that their contraction so far calls for, 2 / (1 + sqrt(1 -
        theta)), theta being the factor by which the last step was smaller than the one before.
    """
    size = ops.cast(ops.shape(cost)[0], cost.dtype)
    kernel = _kernel(cost, epsilon, f, g)
    v, moves = ops.ones_like(cost[:, :1]), []
    for _ in range(steps):
        u = _bounded(size / ops.matmul(kernel, v))
        before, v = v, _bounded(size / ops.transpose(ops.matmul(ops.transpose(u), kernel)))
        moves.append(ops.sum(ops.square(ops.log(v / before))))
    relaxation = None
    if steps > 1:
        theta = ops.minimum(ops.sqrt(moves[-1] / ops.maximum(moves[-2], 1e-30)), 1.0)
        relaxation = ops.minimum(2.0 / (1.0 + ops.sqrt(1.0 - theta)), _LARGEST_RELAXATION)
    plan = u * kernel * ops.transpose(v) / ops.square(size)
    return plan, f + epsilon * ops.log(u[:, 0]), g + epsilon * ops.log(v[:, 0]), relaxation


def _relaxed_block(cost, epsilon, f, g, steps, relaxation):
    """Steps of Eq. 9 that go further by the factor `relaxation` (in the logarithm), absorbed into the potentials."""
    size = ops.cast(ops.shape(cost)[0], cost.dtype)
    kernel = _kernel(cost, epsilon, f, g)

    def further(old, new):
        return _bounded(old * ops.power(new / old, relaxation))

    def step(_, scalings):
        u, v = scalings
        u = further(u, size / ops.matmul(kernel, v))
        return u, further(v, size / ops.transpose(ops.matmul(ops.transpose(u), kernel)))

    ones = ops.ones_like(cost[:, :1])
    u, v = ops.fori_loop(0, steps, step, (ones, ones))
    return f + epsilon * ops.log(u[:, 0]), g + epsilon * ops.log(v[:, 0])


def symmetric_solution(cost, epsilon):
    """The transport of a set onto itself, where both potentials are one.

    Each step is a <- a^(1-w) (B / (K a))^w. Converges in a few steps, whatever epsilon: ten leave an error of 1e-7.

    Args:
        cost: (B, B), symmetric; no gradient may flow into it.
        epsilon: regularisation strength.

    Returns:
        P (B, B) and f (B,).
    """
    size = ops.cast(ops.shape(cost)[0], cost.dtype)
    base = ops.diagonal(cost) / 2  # the kernel's diagonal is then 1, and so no row underflows
    kernel = _kernel(cost, epsilon, base, base)

    def step(log_scaling, weight):
        log_sum = ops.log(ops.matmul(kernel, ops.exp(log_scaling)))
        return (1 - weight) * log_scaling + weight * (ops.log(size) - log_sum)

    log_scaling = ops.zeros_like(cost[:, :1])
    for i in range(_SYMMETRIC_STEPS):
        log_scaling = step(log_scaling, _SYMMETRIC_WEIGHTS[i % 2])
    log_scaling = step(log_scaling, 0.5)
    scaling = ops.exp(log_scaling)
    return scaling * kernel * ops.transpose(scaling) / ops.square(size), base + epsilon * log_scaling[:, 0]


def _kernel(cost, epsilon, f, g):
    exponent = (f[:, None] + g[None, :] - cost) / epsilon
    return ops.exp(ops.minimum(exponent, _LARGEST_EXPONENT / 2))


def _bounded(scaling):
    return ops.clip(scaling, 1 / _LARGEST_SCALING, _LARGEST_SCALING)
