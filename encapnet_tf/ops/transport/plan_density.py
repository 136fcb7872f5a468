"""Density of a transport plan relative to the product of its marginals.

Its methods compute values of the transport cost, and gradients.
"""

from keras import backend
from keras import ops as K

from encapnet_tf.ops.transport.marginal_system import solve_marginals

_SMALLEST_DENSITY = 1e-26  # the plan is next to 0 below
_ADJOINT_TOLERANCE = 1e-6
# Where a plan falls into parts that exchange next to no mass, the marginals hardly say how their potentials differ. The
# gradient hardly depends on it, but it would on rounding errors that are divided by so little.
_LEAST_CURVATURE = {"float32": 1e-6, "float64": 1e-14}


class PlanDensity:
    """Density of a transport plan relative to the product of its marginals.

    D_ij = P_ij / (a_i b_j) = u_i K_ij v_j, where P is the plan and K the kernel of f and g.

    The scalings u and v are kept apart from the potentials: added to them, epsilon log u would lose digits.

    Args:
        kernel: `KernelMatrix` or `KernelBlocks` of f and g.
        epsilon: regularisation strength, (batch or 1, 1, 1).
        f, g: potentials, (batch, n, 1) and (batch, 1, m).
        u, v: scalings, of the shapes of f and g. Columns have been scaled last, so that P has their marginals exactly.
        a, b: weights of the points, (batch or 1, n, 1) and (batch or 1, 1, m).
    """

    def __init__(self, kernel, epsilon, f, g, u, v, a, b):
        self.kernel, self.epsilon = kernel, epsilon
        self.potentials = f + epsilon * K.log(u), g + epsilon * K.log(v)
        self.u, self.v, self.a, self.b = u, v, a, b

    def sum_over_columns(self, values):
        """Compute the weighted sum of the density times a vector over the points of the second set.

        Return sum_j b_j D_ij values_j, (batch, n, 1).
        """
        return self.u * self.kernel.sum_over_columns(self.b * self.v * values)

    def sum_over_rows(self, values):
        """Compute the weighted sum of the density times a vector over the points of the first set.

        Return sum_i a_i D_ij values_i, (batch, 1, m).
        """
        return self.v * self.kernel.sum_over_rows(self.a * self.u * values)

    def row_sums(self):
        """Compute the weighted row sums of the density, which are 1 once the plan has converged.

        Return sum_j b_j D_ij, (batch, n, 1).
        """
        return self.sum_over_columns(K.ones_like(self.v))

    def sharp_value(self):
        """Compute the transport cost of the plan, without the entropy term.

        Return <P, Q>, (batch,).
        """
        return K.sum(self.a * self._sum(lambda costs, density: costs * density, axis=-1), axis=(1, 2))

    def dual_value(self):
        """Compute the value of the dual problem of entropic optimal transport.

        Return sum_i a_i f_i + sum_j b_j g_j, (batch,).
        """
        return sum(
            K.sum(weights * potential, axis=(1, 2))
            for weights, potential in zip((self.a, self.b), self.potentials, strict=True)
        )

    def plan(self):
        """Return the transport plan as an elementwise function and the vectors to which it is applied.

        The function takes Q, K, and then the vectors of the rows and of the columns, which are returned after it.
        """

        def plan(costs, kernel, a, u, b, v):
            return a * u * kernel * v * b

        return plan, (self.a, self.u), (self.b, self.v)

    def cost_gradient(self, iterations):
        """Compute the gradient of the transport cost with respect to the cost matrix by conjugate gradients.

        Return the gradient of <P, Q> with respect to Q, through the plan too, in the form of `plan`.
        It is P_ij (1 - (-log D_ij - alpha_i - beta_j)); see `plan_gradient.py`.

        Args:
            iterations: largest number of conjugate gradient steps for alpha and beta.
        """
        alpha, beta = self._cancelled_part(iterations)

        def gradient(costs, kernel, a, u, alpha, b, v, beta):
            density = u * kernel * v
            return a * density * b * (1.0 - (_sparsity(density) - alpha - beta))

        return gradient, (self.a, self.u, alpha), (self.b, self.v, beta)

    def _cancelled_part(self, iterations):
        """Compute the part of the gradient that the fixed marginals of the transport plan cancel.

        Return alpha (batch, n, 1) and beta (batch, 1, m), the projection of -log D on sums of rows and columns.
        """
        row_sums, column_sums = (
            self._sum(lambda costs, density: density * _sparsity(density), axis) for axis in (-1, -2)
        )
        rows = self.row_sums()
        rhs = (row_sums - self.sum_over_columns(column_sums)) / rows
        limits = K.zeros_like(rhs[:, 0], dtype="int32")[:, None] + iterations
        least = _LEAST_CURVATURE[backend.standardize_dtype(rhs.dtype)]
        alpha, _ = solve_marginals(self, rows, rhs, limits, _ADJOINT_TOLERANCE, least)
        return alpha, column_sums - self.sum_over_rows(alpha)

    def _sum(self, function, axis):
        """Sum a function of the costs and the plan's density over one set's points, each multiplied by its weight.

        The points lie along `axis`, and the function is one of Q and D.
        """

        def weighted(costs, kernel, u, a, v, b):
            return (b if axis == -1 else a) * function(costs, u * kernel * v)

        return self.kernel.sum(weighted, (self.u, self.a), (self.v, self.b), axis)


def _sparsity(density):
    """Compute the negative logarithm of a transport plan's density, with a lower limit on the density."""
    return -K.log(K.maximum(density, _SMALLEST_DENSITY))
