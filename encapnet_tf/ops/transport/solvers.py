"""Sinkhorn solvers for entropic optimal transport.

Two sets of B points with weights 1 / B are given by their cost matrix Q. With K_ij = exp((f_i + g_j - Q_ij) / epsilon),
one iteration of the paper's Eq. 9 is

    u <- B / (K v),    v <- B / (K' u),    P_ij = u_i K_ij v_j / B^2

`solve_plain` makes these iterations as they stand. `solve_fast` and `solve_symmetric` absorb u and v into the
potentials from time to time, f <- f + epsilon log u, to keep the exponentials within float32. `weighted_solvers.py` has
the solvers for sets of different sizes, weights and batches of problems, which take more time for these problems.
"""

import math

from keras import backend
from keras import ops as K

from encapnet_tf.ops.precise_matmul import precise_matmul
from encapnet_tf.ops.transport.cost_matrix import CostMatrix
from encapnet_tf.ops.transport.weighted_solvers import SYMMETRIC_STEPS, SYMMETRIC_WEIGHTS, refine

_LARGEST_EXPONENT = 80.0  # exp(80) = 6e34: sums of so large terms stay below the largest float32, 3e38
_LARGEST_SCALING = 1e18
_LARGEST_RELAXATION = 1.7
_PLAIN_STEPS = 4  # `solve_fast` begins with so many, to measure by how much a step contracts the error
MOST_RELAXED_STEPS = 64  # `solve_fast` goes on with Newton steps, which converge where these are slow


def solve_plain(cost, epsilon, iterations):
    """Solve entropic optimal transport by a fixed number of Sinkhorn iterations without over-relaxation.

    They start from v = 1 and scale the rows first, as in Eq. 9. The result is differentiable.

    Args:
        cost: Q, (B, B).
        epsilon: regularisation strength.
        iterations: number of steps.

    Returns:
        P (B, B), f and g (B,).
    """
    size = K.cast(K.shape(cost)[0], cost.dtype)
    kernel = K.exp(-cost / epsilon)
    v = K.ones_like(cost[:1, :])
    for _ in range(iterations):
        u = size / K.sum(kernel * v, axis=1, keepdims=True)
        v = size / K.sum(kernel * u, axis=0, keepdims=True)
    plan = u * kernel * v / K.square(size)
    return plan, epsilon * K.log(u[:, 0]), epsilon * K.log(v[0, :])


def solve_fast(cost, epsilon, iterations, initial_g=None):
    """Solve entropic optimal transport by up to `iterations` stabilised, over-relaxed Sinkhorn iterations.

    They are steps of Eq. 9, in exponentials that cannot overflow. After the first 64, Newton steps follow.

    Args:
        cost: Q, (B, B); no gradient may flow into it.
        epsilon: regularisation strength.
        iterations: largest number of steps; fewer are made once the potentials have converged.
        initial_g: potentials g to start from, (B,). None starts from potentials with which every row and column of the
            kernel has a largest entry of 1.

    Returns:
        P (B, B) with exact column sums, f and g (B,).
    """
    size = K.cast(K.shape(cost)[0], cost.dtype)
    if iterations > MOST_RELAXED_STEPS:
        _, f, g = solve_fast(cost, epsilon, MOST_RELAXED_STEPS, initial_g)
        return _newton_steps(cost, epsilon, f, g, iterations - MOST_RELAXED_STEPS)
    if initial_g is None:
        f = K.min(cost, axis=1)
        g = K.min(cost - f[:, None], axis=0)
    else:
        f = epsilon * (K.log(size) - K.logsumexp((initial_g[None, :] - cost) / epsilon, axis=1))
        g = epsilon * (K.log(size) - K.logsumexp((f[:, None] - cost) / epsilon, axis=0))

    if iterations <= _PLAIN_STEPS + 1:
        return _unrelaxed_steps(cost, epsilon, f, g, iterations)[:3]
    _, f, g, relaxation = _unrelaxed_steps(cost, epsilon, f, g, _PLAIN_STEPS)

    # A step changes a potential by at most about epsilon * log B, so a block of this many steps cannot overflow.
    points = max(3, cost.shape[0] or 4096)  # 4096: a number that is safe for most, where it is not known
    block_size = max(2, int(_LARGEST_EXPONENT / math.log(points) / _LARGEST_RELAXATION) - 2)  # 2: a margin
    blocks, rest = divmod(iterations - _PLAIN_STEPS - 1, block_size)
    if rest:
        f, g = _relaxed_steps(cost, epsilon, f, g, rest, relaxation)
    if blocks:

        def block(f, g):
            return _relaxed_steps(cost, epsilon, f, g, block_size, relaxation)

        f, g = _iterate_until_converged(block, (f, g), blocks, epsilon)
    return _unrelaxed_steps(cost, epsilon, f, g, 1)[:3]  # ends with exact column sums


def _newton_steps(cost, epsilon, f, g, iterations):
    """Update dual potentials by Newton steps until convergence.

    Returns:
        P (B, B), f and g (B,).
    """
    f, g = f[None, :, None], g[None, None, :]
    a, b = (K.ones_like(potential) / K.cast(K.shape(cost)[0], cost.dtype) for potential in (f, g))
    density = refine(CostMatrix(cost[None]), K.reshape(epsilon, (1, 1, 1)), a, b, f, g, iterations)
    f, g = density.potentials
    return density.kernel.map(*density.plan())[0], f[0, :, 0], g[0, 0, :]


def _iterate_until_converged(block, potentials, max_blocks, epsilon):
    """Run Sinkhorn iterations until convergence or until a maximum number of iterations is reached.

    The iterations run in blocks, at most `max_blocks` of them. Both potentials have converged when a block changes none
    of their values by more than rounding.
    """

    def cond(count, has_changed, *_):
        return K.logical_and(has_changed, count < max_blocks)

    def body(count, _, *potentials):
        updated = block(*potentials)
        changes = [
            K.any(K.abs(new - old) > _rounding_error(new, epsilon))
            for new, old in zip(updated, potentials, strict=True)
        ]
        return count + 1, K.logical_or(*changes), *updated

    return K.while_loop(cond, body, (0, K.convert_to_tensor(True), *potentials))[2:]


def _rounding_error(potential, epsilon):
    """Return an upper bound on the rounding error of a Sinkhorn potential."""
    unit = 2.0**-52 if backend.standardize_dtype(potential.dtype) == "float64" else 2.0**-23
    return 4 * unit * (K.max(K.abs(potential)) + epsilon)


def _unrelaxed_steps(cost, epsilon, f, g, steps):
    """Update dual potentials by a few Sinkhorn iterations, and estimate the best over-relaxation factor.

    The iterations are steps of Eq. 9, and the factor follows from how much a step contracts the error. Let theta be the
    ratio of the sizes of the last two steps. Then the best over-relaxation is

        2 / (1 + sqrt(1 - theta))

    Returns:
        P (B, B), f and g (B,), and the over-relaxation, None after a single step. P is computed from u and v before
        they are absorbed: if costs are 1e6 times epsilon, rounding f and g to float32 would change P.
    """
    size = K.cast(K.shape(cost)[0], cost.dtype)
    kernel = _stable_kernel(cost, epsilon, f, g)
    v, squared_changes = K.ones_like(cost[:, :1]), []
    for _ in range(steps):
        u = _clip(size / precise_matmul(kernel, v))
        previous_v, v = v, _clip(size / K.transpose(precise_matmul(K.transpose(u), kernel)))
        squared_changes.append(K.sum(K.square(K.log(v / previous_v))))
    relaxation = None
    if steps > 1:
        theta = K.minimum(K.sqrt(squared_changes[-1] / K.maximum(squared_changes[-2], 1e-30)), 1.0)
        relaxation = K.minimum(2.0 / (1.0 + K.sqrt(1.0 - theta)), _LARGEST_RELAXATION)
    plan = u * kernel * K.transpose(v) / K.square(size)
    return plan, f + epsilon * K.log(u[:, 0]), g + epsilon * K.log(v[:, 0]), relaxation


def _relaxed_steps(cost, epsilon, f, g, steps, relaxation):
    """Update dual potentials by a number of over-relaxed Sinkhorn iterations.

    The iterations are steps of Eq. 9, whose scalings are absorbed into the potentials:

        u <- u (B / (K v) / u)^relaxation,    v likewise
    """
    size = K.cast(K.shape(cost)[0], cost.dtype)
    kernel = _stable_kernel(cost, epsilon, f, g)

    def relax(old, new):
        return _clip(old * K.power(new / old, relaxation))

    def body(_, scalings):
        u, v = scalings
        u = relax(u, size / precise_matmul(kernel, v))
        return u, relax(v, size / K.transpose(precise_matmul(K.transpose(u), kernel)))

    ones = K.ones_like(cost[:, :1])
    u, v = K.fori_loop(0, steps, body, (ones, ones))
    return f + epsilon * K.log(u[:, 0]), g + epsilon * K.log(v[:, 0])


def solve_symmetric(cost, epsilon):
    """Solve entropic optimal transport for the symmetric cost matrix of a point set with itself.

    Both potentials are equal, so one is iterated:

        u <- u^(1 - w) (B / (K u))^w

    Ten steps reduce the initial error to 7e-7 of itself at any epsilon, and a last one with w = 1/2 halves it at least.

    Args:
        cost: Q, (B, B), symmetric; no gradient may flow into it.
        epsilon: regularisation strength.

    Returns:
        P (B, B) and f (B,).
    """
    size = K.cast(K.shape(cost)[0], cost.dtype)
    f = K.diagonal(cost) / 2  # the kernel's diagonal is then 1, so no row underflows
    kernel = _stable_kernel(cost, epsilon, f, f)

    def step(log_u, weight):
        log_sum = K.log(precise_matmul(kernel, K.exp(log_u)))
        return (1 - weight) * log_u + weight * (K.log(size) - log_sum)

    def two_steps(_, log_u):
        for weight in SYMMETRIC_WEIGHTS:
            log_u = step(log_u, weight)
        return log_u

    # A loop, because XLA compiles each operation of a written-out step anew, at 25 ms for each.
    log_u = K.fori_loop(0, SYMMETRIC_STEPS // 2, two_steps, K.zeros_like(cost[:, :1]))
    log_u = step(log_u, 0.5)
    u = K.exp(log_u)
    return u * kernel * K.transpose(u) / K.square(size), f + epsilon * log_u[:, 0]


def _stable_kernel(cost, epsilon, f, g):
    """Compute the Sinkhorn kernel from costs and dual potentials, and limit the exponents to prevent overflow.

    It is exp((f_i + g_j - Q_ij) / epsilon).
    """
    exponent = (f[:, None] + g[None, :] - cost) / epsilon
    return K.exp(K.minimum(exponent, _LARGEST_EXPONENT / 2))


def _clip(scaling):
    return K.clip(scaling, 1 / _LARGEST_SCALING, _LARGEST_SCALING)
