"""Transport costs between point sets, computed in blocks to save memory.

Memory grows with the points and not with their pairs. `CostBlocks` does what `CostMatrix` does, without a matrix: each
sum over rows or columns computes all costs again, at one time those between a few points of one set and all points of
the other. The loop in a graph is `keras.ops.scan`, whose steps TensorFlow does not run side by side.
"""

import keras
from keras import ops as K

from encapnet_tf.ops.acceleration import runs_eagerly
from encapnet_tf.ops.precise_matmul import precise_matmul
from encapnet_tf.ops.transport.cost_matrix import REDUCTIONS, stable_kernel, transposed
from encapnet_tf.ops.transport.pairwise_cost import centred_cost, gradient_of_points


class CostBlocks:
    """Matrix of transport costs between two point sets, computed in blocks instead of being stored.

    The two sets may be the same set.

    Args:
        x, y: (batch, n, features) and (batch, m, features), as `centre` of `pairwise_cost.py` returns them.
        cost: name of the cost, or a function.
        block_size: costs are computed for at most block_size * block_size pairs at a time, but for all of one point's.
        within: whether y is x, so that named costs are 0 on the diagonal.
    """

    def __init__(self, x, y, cost, block_size, within=False):
        self.x, self.y, self.cost, self.block_size = x, y, cost, block_size
        self.within = within and not callable(cost)

    def reduce(self, function, rows, columns, axis, reduction="sum"):
        """Apply an elementwise function to all costs, and reduce the results along one axis.

        Arguments are as in `CostMatrix.reduce`.
        """

        def of_block(costs, x, y, rows, columns):
            return REDUCTIONS[reduction](function(costs, *rows, *columns), axis=axis, keepdims=True)

        return self.map_blocks(of_block, rows, columns, axis)

    def kernel(self, f, g, epsilon):
        """Create the Sinkhorn kernel of two dual potentials, without storing it as a matrix.

        The potentials are f (batch, n, 1) and g (batch, 1, m).
        """
        return KernelBlocks(self, f, g, epsilon)

    def zero_potentials(self):
        """Return dual potentials of zero for both point sets.

        They have the shapes (batch, n, 1) and (batch, 1, m).
        """
        return K.zeros_like(self.x[:, :, 0])[:, :, None], K.zeros_like(self.y[:, :, 0])[:, None]

    def diagonal(self):
        """Return the transport cost from each point of a set to itself.

        The shape is (batch, n, 1). The cost must be a named one, and both sets the same.
        """
        is_zero = K.logical_not(K.any(self.x, axis=-1, keepdims=True))
        return K.cast(is_zero, self.x.dtype) if self.cost == "cosine" else K.zeros_like(self.x[:, :, :1])

    def gradient(self, slope, rows, columns, axis):
        """Compute the gradient of a weighted sum of transport costs with respect to the points of one set.

        The cost must be a named one; `weighted_sum` is for cost functions.

        Args:
            slope: elementwise function of the costs, of `rows` and of `columns`: the weight of each cost, held fixed.
            rows, columns: as in `CostMatrix.reduce`.
            axis: -1 for the gradient with respect to x, -2 for y. The other set is held fixed.

        Returns:
            Tensor of the shape of x or y.
        """

        def of_block(costs, x, y, rows, columns):
            slopes = slope(costs, *rows, *columns)
            if axis == -1:
                return gradient_of_points(slopes, costs, x, y, self.cost)
            return gradient_of_points(transposed(slopes), transposed(costs), y, x, self.cost)

        return self.map_blocks(of_block, rows, columns, axis, result_axis=1)

    def weighted_sum(self, slope, rows, columns):
        """Compute a weighted sum of all transport costs, and recompute the costs in the backward pass to save memory.

        It is for cost functions of one's own. Gradients flow into the points of both sets.

        Args:
            slope, rows, columns: as in `gradient`.
        """

        def of_block(costs, x, y, rows, columns):
            return K.sum(K.stop_gradient(slope(costs, *rows, *columns)) * costs, axis=-1, keepdims=True)

        return K.sum(self.map_blocks(of_block, rows, columns, axis=-1, recompute=True), axis=(1, 2))

    def map_blocks(self, of_block, rows, columns, axis, *, result_axis=None, recompute=False):
        """Apply a function to each block of costs, and concatenate the results.

        Args:
            of_block: function of the costs of a block, its points of x and of y, and its parts of `rows` and `columns`.
            rows, columns: as in `CostMatrix.reduce`.
            axis: -1 for blocks of some rows and all columns, -2 for all rows and some columns.
            result_axis: axis of a result along which the block's points lie; None: 1 for axis -1 and 2 for axis -2.
            recompute: whether a gradient will be taken, for which all blocks are computed again.
        """
        if self.within:
            positions = K.arange(K.shape(self.x)[1])[None, :, None]
            rows, columns = (positions, *rows), (transposed(positions), *columns)
        own, other = ((self.x, *rows), (self.y, *columns))[:: 1 if axis == -1 else -1]
        size, count = _size(own[0], 1), _block_points(self.block_size, _size(own[0], 1), _size(other[0], 1))
        parts = tuple(_split(t, size, count, 1 if i == 0 or axis == -1 else 2) for i, t in enumerate(own))

        def of_part(*tensors):
            own, other = tensors[: len(parts)], tensors[len(parts) :]
            (x, *rows), (y, *columns) = (own, other)[:: 1 if axis == -1 else -1]
            costs = centred_cost(x, y, self.cost)
            if self.within:
                (i, *rows), (j, *columns) = rows, columns
                costs = K.where(self._is_diagonal(x, i, j), 0.0, costs)
            return of_block(costs, x, y, rows, columns)

        of_part = keras.remat(of_part) if recompute else of_part
        start = K.zeros_like(parts[0][0])
        if result_axis is None:
            start = start[:, :, 0][:, :, None] if axis == -1 else start[:, :, 0][:, None]
        results = _map(lambda *part: of_part(*part, *other), start, parts)
        return _join(results, size, result_axis or (1 if axis == -1 else 2))

    def _is_diagonal(self, x, i, j):
        """Return a mask of the pairs that consist of a point and itself, for which the transport cost is 0.

        The cosine cost of a row of zeros to itself is 1, so the mask leaves it out.
        """
        return (i == j) & K.any(x, axis=-1, keepdims=True) if self.cost == "cosine" else i == j


class KernelBlocks:
    """Sinkhorn kernel that is recomputed block by block at each use instead of being stored."""

    def __init__(self, costs, f, g, epsilon):
        self.costs, self.f, self.g, self.epsilon = costs, f, g, epsilon

    def sum_over_columns(self, v):
        """Multiply the Sinkhorn kernel by a vector with one element for each point of the second set.

        Return sum_j K_ij v_j, (batch, n, 1), for v of shape (batch, 1, m).
        """

        def of_block(costs, x, y, rows, columns):
            (f,), (g, v) = rows, columns
            return precise_matmul(stable_kernel(costs, f, g, self.epsilon), transposed(v))

        return self.costs.map_blocks(of_block, (self.f,), (self.g, v), axis=-1)

    def sum_over_rows(self, u):
        """Multiply the transposed Sinkhorn kernel by a vector with one element for each point of the first set.

        Return sum_i u_i K_ij, (batch, 1, m), for u of shape (batch, n, 1).
        """

        def of_block(costs, x, y, rows, columns):
            (f, u), (g,) = rows, columns
            return precise_matmul(transposed(u), stable_kernel(costs, f, g, self.epsilon))

        return self.costs.map_blocks(of_block, (self.f, u), (self.g,), axis=-2)

    def sum(self, function, rows, columns, axis):
        """Apply an elementwise function to costs, Sinkhorn kernel and vectors, and sum the results along one axis.

        Arguments are as in `KernelMatrix.sum`.
        """
        return self.costs.reduce(*self.of_costs(function, rows, columns), axis)

    def of_costs(self, function, rows, columns):
        """Convert a function of costs and Sinkhorn kernel to a function of costs and dual potentials.

        Args:
            function, rows, columns: as in `KernelMatrix.sum`.

        Returns:
            The function, and its rows and columns, as in `CostMatrix.reduce`.
        """
        count = len(rows)

        def of_costs(costs, f, *vectors):
            rows, (g, *columns) = vectors[:count], vectors[count:]
            return function(costs, stable_kernel(costs, f, g, self.epsilon), *rows, *columns)

        return of_costs, (self.f, *rows), (self.g, *columns)


def _map(function, start, items):
    """Apply a function to the slices of tensors along the first axis, and stack the results.

    Args:
        function: of one tensor for each element of `items`.
        start: tensor of the shape and dtype of a result.
        items: tensors with equal sizes of the first axis.
    """
    if runs_eagerly():
        return K.stack([function(*(tensor[i] for tensor in items)) for i in range(items[0].shape[0])])

    def step(_, position):
        result = function(*(K.take(tensor, position, axis=0) for tensor in items))
        return result, result

    # Over the positions, because a scan of several tensors needs a known number of them on TensorFlow.
    return K.scan(step, start, K.arange(_size(items[0], 0)))[1]


def _size(tensor, axis):
    """Return the size of a tensor axis, as an integer if the size is statically known."""
    return tensor.shape[axis] or K.shape(tensor)[axis]


def _block_points(block_size, own, other):
    """Return how many points of a set form one block, so that the block's cost matrix stays small.

    A block has at most block_size * block_size pairs, of some of the `own` points with all `other` points.
    """
    count = block_size * block_size // other
    if isinstance(own, int) and isinstance(other, int):
        return max(1, min(count, own))
    return K.maximum(1, K.minimum(count, own))


def _split(values, size, count, axis):
    """Split a tensor of points into blocks of equal size, and pad the last block with copies of the last point.

    Args:
        values: (batch, size, k) for axis 1, (batch, k, size) for axis 2.
        size, count: number of points, and of those of a block.
        axis: 1 or 2.

    Returns:
        (blocks, batch, count, k) for axis 1, (blocks, batch, k, count) for axis 2.
    """
    blocks = (size + count - 1) // count
    values = K.take(values, K.minimum(K.arange(blocks * count), size - 1), axis=axis)
    batch, other = _size(values, 0), _size(values, 3 - axis)
    shape = (batch, blocks, count, other) if axis == 1 else (batch, other, blocks, count)
    return K.transpose(K.reshape(values, shape), (1, 0, 2, 3) if axis == 1 else (2, 0, 1, 3))


def _join(blocks, size, axis):
    """Concatenate the blocks of a tensor that `_split` has split, and remove the padding."""
    values = K.transpose(blocks, (1, 0, 2, 3) if axis == 1 else (1, 2, 0, 3))
    batch, other = _size(blocks, 1), _size(blocks, 3 if axis == 1 else 2)
    values = K.reshape(values, (batch, -1, other) if axis == 1 else (batch, other, -1))
    return values[:, :size] if axis == 1 else values[:, :, :size]
