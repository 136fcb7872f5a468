"""Benchmarks of this package's Sinkhorn divergence, and of the computation of its cost matrices alone.

Both run in Keras's backend, compiled by XLA. The time of the second is a lower bound on that of any solver.
"""

from keras import ops as K

import encapnet_tf as en
from benchmarks.contestants import sinkhorn_problem as problem
from benchmarks.contestants.keras_calls import compile_function, device
from benchmarks.harness.contestant import Prepared


def ours(*, size, dim, iterations, gradient, dtype="float32", reference=True):
    """Return a function, to be timed, that computes this package's Sinkhorn divergence, optionally with gradients.

    Args:
        size, dim: of the problem.
        iterations: L, the number of Sinkhorn iterations.
        gradient: whether the gradients with respect to x and y are computed too.
        dtype: of the points.
        reference: whether the errors are computed, which takes long for thousands of points.
    """

    def divergence(x, y):
        return en.ops.sinkhorn_divergence(x, y, problem.EPSILON, iterations, "sqeuclidean", value="dual")

    run = _compiled(divergence, size=size, dim=dim, gradient=gradient, dtype=dtype)
    if not reference:
        return Prepared(run, {"device": device()})
    value, gradients = run() if gradient else (run(), None)
    if gradients is not None:
        gradients = [K.convert_to_numpy(K.cast(g, "float32")) for g in gradients]
    return Prepared(run, problem.errors(size, dim, K.convert_to_numpy(value), gradients) | {"device": device()})


def floor(*, size, dim, gradient, dtype="float32"):
    """Return a function, to be timed, that computes only the cost matrices of a Sinkhorn divergence.

    It has three cost matrices, one exp and the gradient, as if the Sinkhorn solver took no time. Its run time is a
    lower bound on that of any solver.
    """

    def value(x, y):
        between, of_x, of_y = _costs(x, y), _costs(x, K.stop_gradient(x)), _costs(y, K.stop_gradient(y))
        plan = K.stop_gradient(K.exp(-between / problem.EPSILON))
        return K.mean(plan * (2 * between - 2 * of_x - 2 * of_y))

    return Prepared(_compiled(value, size=size, dim=dim, gradient=gradient, dtype=dtype))


def floor_and_products(*, size, dim, gradient, dtype="float32"):
    """Return a function, to be timed, that computes cost matrices and the products of ten Sinkhorn iterations.

    It is `floor` and the matrix-vector products.

    The problem of x and y takes two products with its kernel in each iteration; those of x alone and of y alone, whose
    two potentials are equal, take one, and one more at the end. A solver has further exps, scalings and tests.
    """

    def value(x, y):
        pairs = (x, y), (x, K.stop_gradient(x)), (y, K.stop_gradient(y))
        between, of_x, of_y = costs = [_costs(*pair) for pair in pairs]
        plan, kernel_x, kernel_y = (K.exp(-K.stop_gradient(cost) / problem.EPSILON) for cost in costs)
        v = ones = K.ones_like(plan[:, :1])
        v = K.fori_loop(
            0, 10, lambda _, v: K.transpose(K.matmul(K.transpose(_normalized_product(plan, v)), plan)) / K.sum(v), v
        )
        of_one_set = [
            K.fori_loop(0, 11, lambda _, v, k=k: _normalized_product(k, v), ones) for k in (kernel_x, kernel_y)
        ]
        scaled = plan * (1.0 + 1e-6 * (K.transpose(v) + of_one_set[0] + of_one_set[1]))
        return K.mean(K.stop_gradient(scaled) * (2 * between - 2 * of_x - 2 * of_y))

    return Prepared(_compiled(value, size=size, dim=dim, gradient=gradient, dtype=dtype))


def _normalized_product(kernel, v):
    """Multiply a matrix and a vector, and divide the result by its mean so that repeated products stay finite."""
    product = K.matmul(kernel, v)
    return product / K.mean(product)


def _compiled(function, *, size, dim, gradient, dtype):
    inputs = [K.cast(a, dtype) for a in problem.points(size, dim)]
    return compile_function(function, inputs, gradient, jit=True)


def _costs(x, y):
    norms = K.sum(K.square(x), axis=1)[:, None] + K.sum(K.square(y), axis=1)[None]
    return norms - 2 * K.matmul(x, K.transpose(y))
