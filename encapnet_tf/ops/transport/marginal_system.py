"""Conjugate gradient solver for the linear system that links dual potentials to the marginals of a plan.

If the potentials f and g change by epsilon alpha_i and epsilon beta_j, the density D_ij = P_ij / (a_i b_j) of the plan
changes by D_ij (alpha_i + beta_j), and its marginals by

    R_i alpha_i + sum_j b_j D_ij beta_j,    sum_i a_i D_ij alpha_i + C_j beta_j

R and C are the sums of the density over columns and rows. C is 1, because the solvers scale the columns last; R is 1
once the plan has converged. Two questions need the inverse: which change of the potentials mends the marginals (a
Newton step), and which part of a gradient the fixed marginals cancel.
"""

from keras import ops as K


def solve_marginals(density, row_sums, rhs, limits, tolerance, least_curvature=0.0):
    """Solve the linear system of a transport plan's marginals by conjugate gradients.

    The unknown is alpha, after beta has been eliminated:

        alpha_i - sum_j b_j D_ij / R_i (sum_k a_k D_kj alpha_k) = rhs_i

    The matrix is symmetric under the scalar product with the weights a_i R_i, and not negative; it is 0 for a constant.

    Args:
        density: the `PlanDensity`.
        row_sums: R, (batch, n, 1).
        rhs: the right-hand side, (batch, n, 1). Its weighted mean is subtracted.
        limits: largest number of steps for each problem, an integer tensor (batch, 1, 1).
        tolerance: a problem is solved once its residual is below this share of its right-hand side.
        least_curvature: steps end at a direction in which the matrix is not larger than this number.

    Returns:
        alpha, (batch, n, 1), with weighted mean 0, and the numbers of steps, (batch, 1, 1).
    """

    weights = density.a * row_sums

    def dot(one, other):
        return K.sum(weights * one * other, axis=1, keepdims=True)

    def centred(values):
        return values - K.sum(weights * values, axis=1, keepdims=True) / K.sum(weights, axis=1, keepdims=True)

    def multiply(values):
        return values - density.sum_over_columns(density.sum_over_rows(values)) / row_sums

    residual = centred(rhs)
    squared = dot(residual, residual)
    enough = squared * tolerance**2

    def is_active(steps, squared):
        return (squared > enough) & (steps < limits)

    def cond(steps, alpha, residual, direction, squared):
        return K.any(is_active(steps, squared))

    def body(steps, alpha, residual, direction, squared):
        product = multiply(direction)
        curvature = dot(direction, product)
        active = is_active(steps, squared) & (curvature > least_curvature * dot(direction, direction))
        length = K.where(active, squared / K.where(active, curvature, 1.0), 0.0)
        alpha = alpha + length * direction
        residual = residual - length * product
        new_squared = K.where(active, dot(residual, residual), 0.0)  # 0 ends a problem without curvature
        share = K.where(active, new_squared / K.where(active, squared, 1.0), 0.0)
        return steps + K.cast(active, steps.dtype), alpha, residual, residual + share * direction, new_squared

    state = (K.zeros_like(limits), K.zeros_like(residual), residual, residual, squared)
    steps, alpha, *_ = K.while_loop(cond, body, state)
    return centred(alpha), steps
