"""Functions that compute the gradient of the entropic optimal transport cost with respect to the cost matrix.

The transport cost <P, Q> depends on the cost matrix Q directly and through the plan P, which changes with Q. At the
solution, with the sparsity D_ij = -log(B^2 P_ij),

    d<P, Q> / dQ_ij = P_ij (1 - (D_ij - alpha_i - beta_j))

alpha + beta is the part of D that the fixed marginals cancel: the projection of D, under P, on the sums of one number
per row and one per column. (D = (Q - f - g) / epsilon, so Q / epsilon could be projected instead, but D is small at any
epsilon.)
"""

from keras import ops as K

_SYMMETRIC_STEPS = 12
_SYMMETRIC_WEIGHTS = (1 / 1.854, 1 / 1.146)  # as in the symmetric solver


def slope_of_cost(plan, iterations, initial_beta=None):
    """Return the gradient of the transport cost between two sets of points with respect to the cost matrix.

    It is d<P, Q> / dQ, by alternating means for alpha and beta.

    Args:
        plan: P, (B, B).
        iterations: number of steps.
        initial_beta: beta to start from, (B, 1); None starts from 0.
    """
    # Means are taken with P's own sums: where the plan has not converged, 1 / B in their place would diverge.
    rows, columns = (K.maximum(K.sum(plan, axis=axis, keepdims=True), 1e-30) for axis in (1, 0))
    sparsity = _sparsity(plan)
    weighted = plan * sparsity
    row_means = K.sum(weighted, axis=1, keepdims=True) / rows
    column_means = K.sum(weighted, axis=0, keepdims=True) / columns

    def body(_, potentials):
        alpha = row_means - K.matmul(plan, K.transpose(potentials[1])) / rows
        return alpha, column_means - K.matmul(K.transpose(alpha), plan) / columns

    beta = K.zeros_like(columns) if initial_beta is None else K.transpose(initial_beta)
    alpha, beta = K.fori_loop(0, iterations, body, (K.zeros_like(rows), beta))
    return plan * (1.0 - (sparsity - alpha - beta))


def slope_of_self_cost(plan):
    """Return the gradient of the transport cost from a point set to itself with respect to the cost matrix.

    Also return alpha = beta, (B, 1).
    """
    rows = K.maximum(K.sum(plan, axis=1, keepdims=True), 1e-30)
    sparsity = _sparsity(plan)
    row_means = K.sum(plan * sparsity, axis=1, keepdims=True) / rows
    alpha = K.zeros_like(row_means)
    for i in range(_SYMMETRIC_STEPS):
        alpha = alpha + _SYMMETRIC_WEIGHTS[i % 2] * (row_means - K.matmul(plan, alpha) / rows - alpha)
    return plan * (1.0 - (sparsity - alpha - K.transpose(alpha))), alpha


def _sparsity(plan):
    """Compute the elementwise negative logarithm of a transport plan relative to the uniform plan.

    It is D = -log(B^2 P), cut off where the plan P is next to 0.
    """
    size = K.cast(K.shape(plan)[0], plan.dtype)
    return -K.log(K.maximum(K.square(size) * plan, 1e-26))
