"""Transport plan after plain Sinkhorn iterations, with backpropagation through each iteration."""

from keras import ops as K

from encapnet_tf.ops.precise_matmul import precise_matmul
from encapnet_tf.ops.transport.plan_density import PlanDensity


class PlainDensity(PlanDensity):
    """Density of the transport plan after a fixed number of plain Sinkhorn iterations.

    Args:
        kernel: of potentials of zero, exp(-Q / epsilon).
        epsilon, a, b: as in `PlanDensity`.
        steps: scalings (u_k, v_k) after each iteration; they start from v_0 = 1.
    """

    def __init__(self, kernel, epsilon, a, b, steps):
        u, v = steps[-1]
        super().__init__(kernel, epsilon, 0.0, 0.0, u, v, a, b)
        self.steps = steps

    def cost_gradient(self, iterations):
        """Backpropagate the transport cost through all Sinkhorn iterations to the cost matrix.

        Return the gradient of <P, Q> with respect to Q, in the form of `plan`.

        The chain rule backwards through u_k = 1 / (K (b v_(k-1))) and v_k = 1 / (K' (a u_k)) adds two products of a row
        and a column to the gradient with respect to K in each iteration.
        """
        sums = [
            self.kernel.sum(lambda costs, kernel, factor: costs * kernel * factor, *vectors, axis)
            for vectors, axis in ((((), (self.b * self.v,)), -1), (((self.a * self.u,), ()), -2))
        ]
        of_u, of_v = self.a * sums[0], self.b * sums[1]  # gradients with respect to u_k and v_k
        rows, columns = [], []
        previous = [K.ones_like(self.v), *(v for _, v in self.steps[:-1])]
        for (u, v), v_before in zip(reversed(self.steps), reversed(previous), strict=True):
            of_sums = -of_v * K.square(v)
            rows.append(self.a * u)
            columns.append(of_sums)
            of_u = of_u + self.a * self.kernel.sum_over_columns(of_sums)
            of_sums = -of_u * K.square(u)
            rows.append(of_sums)
            columns.append(self.b * v_before)
            of_u, of_v = 0.0, self.b * self.kernel.sum_over_rows(of_sums)

        def gradient(costs, kernel, row, factors, column, other_factors):
            of_kernel = row * costs * column + precise_matmul(factors, other_factors)
            return kernel * (row * column - of_kernel / self.epsilon)

        factors = K.concatenate(rows, axis=2), K.concatenate(columns, axis=1)
        return gradient, (self.a * self.u, factors[0]), (self.b * self.v, factors[1])
