"""Functions that compute the gradient of the entropic optimal transport cost with respect to the cost matrix.

The transport cost <P, Q> depends on the cost matrix Q directly and through the plan P, which changes with Q. At the
solution, with the sparsity D_ij = -log(B^2 P_ij),

    d<P, Q> / dQ_ij = P_ij (1 - (D_ij - alpha_i - beta_j))

alpha + beta is the part of D that the fixed marginals cancel: the projection of D, under P, on the sums of one number
per row and one per column. (D = (Q - f - g) / epsilon, so Q / epsilon could be projected instead, but D is small at any
epsilon.)
"""

from keras import ops as K

from encapnet_tf.ops.precise_matmul import precise_matmul
from encapnet_tf.ops.transport.cost_matrix import KernelMatrix
from encapnet_tf.ops.transport.plan_density import PlanDensity
from encapnet_tf.ops.transport.solvers import MOST_RELAXED_STEPS
from encapnet_tf.ops.transport.weighted_solvers import SYMMETRIC_WEIGHTS

_SYMMETRIC_STEPS = 12


def slope_of_cost(plan, iterations, initial_beta=None):
    """Return the gradient of the transport cost between two sets of points with respect to the cost matrix.

    It is d<P, Q> / dQ, by alternating means for alpha and beta, or by conjugate gradients if there may be more than 64
    steps.

    Args:
        plan: P, (B, B).
        iterations: number of steps, or the largest number of conjugate gradient steps.
        initial_beta: beta for the alternating means to start from, (B, 1); None starts from 0.
    """
    if iterations > MOST_RELAXED_STEPS:
        return _converged_slope(plan, iterations)
    # Means are taken with P's own sums: where the plan has not converged, 1 / B in their place would diverge.
    rows, columns = (K.maximum(K.sum(plan, axis=axis, keepdims=True), 1e-30) for axis in (1, 0))
    sparsity = _sparsity(plan)
    weighted = plan * sparsity
    row_means = K.sum(weighted, axis=1, keepdims=True) / rows
    column_means = K.sum(weighted, axis=0, keepdims=True) / columns

    def body(_, potentials):
        alpha = row_means - precise_matmul(plan, K.transpose(potentials[1])) / rows
        return alpha, column_means - precise_matmul(K.transpose(alpha), plan) / columns

    beta = K.zeros_like(columns) if initial_beta is None else K.transpose(initial_beta)
    alpha, beta = K.fori_loop(0, iterations, body, (K.zeros_like(rows), beta))
    return plan * (1.0 - (sparsity - alpha - beta))


def _converged_slope(plan, iterations):
    """Compute the gradient of the transport cost with respect to the cost matrix by conjugate gradients."""
    size = K.cast(K.shape(plan)[0], plan.dtype)
    ones = K.ones_like(plan[None, :, :1]), K.ones_like(plan[None, :1, :])
    kernel = KernelMatrix(plan[None], K.square(size) * plan[None])
    density = PlanDensity(kernel, 0.0, 0.0, 0.0, *ones, *(one / size for one in ones))
    return kernel.map(*density.cost_gradient(iterations))[0]


def slope_of_self_cost(plan):
    """Return the gradient of the transport cost from a point set to itself with respect to the cost matrix.

    Also return alpha = beta, (B, 1).
    """
    rows = K.maximum(K.sum(plan, axis=1, keepdims=True), 1e-30)
    sparsity = _sparsity(plan)
    row_means = K.sum(plan * sparsity, axis=1, keepdims=True) / rows
    alpha = K.zeros_like(row_means)
    for i in range(_SYMMETRIC_STEPS):
        alpha = alpha + SYMMETRIC_WEIGHTS[i % 2] * (row_means - precise_matmul(plan, alpha) / rows - alpha)
    return plan * (1.0 - (sparsity - alpha - K.transpose(alpha))), alpha


def _sparsity(plan):
    """Compute the elementwise negative logarithm of a transport plan relative to the uniform plan.

    It is D = -log(B^2 P), cut off where the plan P is next to 0.
    """
    size = K.cast(K.shape(plan)[0], plan.dtype)
    return -K.log(K.maximum(K.square(size) * plan, 1e-26))
