"""Matrices of transport costs and Sinkhorn kernels for batches of optimal transport problems.

Shapes, here and in the solvers for weighted points: costs (batch, n, m); what belongs to the first set's points is a
column (batch, n, 1), what belongs to the second set's a row (batch, 1, m), and what belongs to a problem (batch, 1, 1).
"""

from keras import ops as K

from encapnet_tf.ops.precise_matmul import precise_matmul

_LARGEST_EXPONENT = 80.0  # exp(80) = 6e34: sums of so large terms stay below the largest float32, 3e38
REDUCTIONS = {"sum": K.sum, "max": K.max, "logsumexp": K.logsumexp}


class CostMatrix:
    """Cost matrix of each optimal transport problem in a batch.

    `CostBlocks` has the same methods and holds no matrix.

    Args:
        matrix: Q, (batch, n, m).
    """

    def __init__(self, matrix):
        self.matrix = matrix

    def reduce(self, function, rows, columns, axis, reduction="sum"):
        """Apply an elementwise function to all costs, and reduce the results along one axis.

        Args:
            function: elementwise function of the costs, of `rows` and of `columns`.
            rows: tensors (batch, n, 1).
            columns: tensors (batch, 1, m).
            axis: -1 reduces over the columns, -2 over the rows.
            reduction: "sum", "max" or "logsumexp".

        Returns:
            (batch, n, 1) for axis -1, (batch, 1, m) for axis -2.
        """
        return REDUCTIONS[reduction](function(self.matrix, *rows, *columns), axis=axis, keepdims=True)

    def kernel(self, f, g, epsilon):
        """Compute the Sinkhorn kernel of two dual potentials as a matrix.

        The potentials are f (batch, n, 1) and g (batch, 1, m).
        """
        return KernelMatrix(self.matrix, stable_kernel(self.matrix, f, g, epsilon))

    def zero_potentials(self):
        """Return dual potentials of zero for both point sets.

        They have the shapes (batch, n, 1) and (batch, 1, m).
        """
        return K.zeros_like(self.matrix[:, :, 0])[:, :, None], K.zeros_like(self.matrix[:, 0])[:, None]

    def diagonal(self):
        """Return the transport cost from each point of a set to itself.

        The shape is (batch, n, 1).
        """
        return K.diagonal(self.matrix, axis1=1, axis2=2)[..., None]


class KernelMatrix:
    """Sinkhorn kernel and cost matrix of each optimal transport problem in a batch.

    `KernelBlocks` has the same methods but `map`, and holds no matrix.
    """

    def __init__(self, costs, matrix):
        self.costs, self.matrix = costs, matrix

    def sum_over_columns(self, v):
        """Multiply the Sinkhorn kernel by a vector with one element for each point of the second set.

        Return sum_j K_ij v_j, (batch, n, 1), for v of shape (batch, 1, m).
        """
        return precise_matmul(self.matrix, transposed(v))

    def sum_over_rows(self, u):
        """Multiply the transposed Sinkhorn kernel by a vector with one element for each point of the first set.

        Return sum_i u_i K_ij, (batch, 1, m), for u of shape (batch, n, 1).
        """
        return precise_matmul(transposed(u), self.matrix)

    def sum(self, function, rows, columns, axis):
        """Apply an elementwise function to costs, Sinkhorn kernel and vectors, and sum the results along one axis.

        Args:
            function: elementwise function of Q, K, `rows` and `columns`.
            rows, columns, axis: as in `CostMatrix.reduce`.
        """
        return K.sum(self.map(function, rows, columns), axis=axis, keepdims=True)

    def map(self, function, rows, columns):
        """Apply an elementwise function to costs, Sinkhorn kernel and vectors.

        The result is a matrix (batch, n, m). Arguments are as in `sum`.
        """
        return function(self.costs, self.matrix, *rows, *columns)


def stable_kernel(costs, f, g, epsilon):
    """Compute the Sinkhorn kernel from costs and dual potentials, and limit the exponents to prevent overflow.

    It is exp((f_i + g_j - Q_ij) / epsilon).
    """
    return K.exp(K.minimum((f + g - costs) / epsilon, _LARGEST_EXPONENT))


def transposed(vector):
    """Transpose a batch of row or column vectors.

    A column (batch, n, 1) becomes a row (batch, 1, n), and a row becomes a column.
    """
    return K.transpose(vector, (0, 2, 1))
