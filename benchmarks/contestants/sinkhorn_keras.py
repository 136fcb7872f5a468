"""The library's Sinkhorn divergence in Keras's backend, compiled by XLA, and the least that any has to compute."""

from keras import ops

import encapnet_tf as en
from benchmarks.contestant import Prepared
from benchmarks.contestants import sinkhorn_problem as problem
from benchmarks.contestants.compiled import compiled
from benchmarks.contestants.devices import device


def ours(size, dim, iterations, gradient, dtype="float32"):
    """Value, and gradient if asked, from one compiled call.

    Args:
        size, dim: of the problem.
        iterations: L.
        gradient: whether the gradients with respect to x and y are computed too.
        dtype: of the points.
    """

    def divergence(x, y):
        return en.ops.sinkhorn_divergence(x, y, problem.EPSILON, iterations, "sqeuclidean", value="dual")

    run = _compiled(divergence, size, dim, gradient, dtype)
    found = run()
    value, gradients = found if gradient else (found, None)
    if gradients is not None:
        gradients = [ops.convert_to_numpy(ops.cast(g, "float32")) for g in gradients]
    return Prepared(run, problem.errors(size, dim, ops.convert_to_numpy(value), gradients) | {"device": device()})


def floor(size, dim, gradient, dtype="float32"):
    """Three cost matrices, one exp, and the gradient of their sum: what remains when the solver takes no time."""

    def value(x, y):
        between, of_x, of_y = _costs(x, y), _costs(x, ops.stop_gradient(x)), _costs(y, ops.stop_gradient(y))
        plan = ops.stop_gradient(ops.exp(-between / problem.EPSILON))
        return ops.mean(plan * (2 * between - 2 * of_x - 2 * of_y))

    return Prepared(_compiled(value, size, dim, gradient, dtype))


def _compiled(function, size, dim, gradient, dtype):
    inputs = [ops.cast(a, dtype) for a in problem.points(size, dim)]
    return compiled(function, inputs, gradient, jit=True)


def _costs(x, y):
    norms = ops.sum(ops.square(x), axis=1)[:, None] + ops.sum(ops.square(y), axis=1)[None]
    return norms - 2 * ops.matmul(x, ops.transpose(y))
