"""Point sets for benchmarks of Sinkhorn solvers, and functions that measure the solvers' numerical errors.

All solvers are timed on these point sets.
"""

import functools
import importlib

import numpy as np

EPSILON = 0.1
_TOLERANCE = 1e-12
_MAX_STEPS = 10_000


def points(size, dim):
    """Return two random point sets, scaled so that the mean squared distance from one set to the other is 1.

    The points are normal, and the means of the sets differ by half a standard deviation in every feature.

    Args:
        size: B, points of a set.
        dim: d, features of a point.

    Returns:
        x and y, (B, d) float32; the cost is the squared Euclidean distance.
    """
    rng = np.random.default_rng([size, dim])
    x, y = rng.normal(size=(size, dim)), rng.normal(size=(size, dim)) + 0.5
    scale = np.sqrt(_costs(x, y).mean())
    return (x / scale).astype("float32"), (y / scale).astype("float32")


@functools.cache
def solution(size, dim):
    """Compute a converged Sinkhorn divergence and its gradients in float64, as reference values for benchmarks.

    The point sets are those of `points`. The divergence is the dual value 2 W(x, y) - W(x, x) - W(y, y). Its
    gradients, x's and y's, are concatenated.
    """
    x, y = (a.astype("float64") for a in points(size, dim))
    (between, plan), (of_x, plan_x), (of_y, plan_y) = (_solve(*pair) for pair in ((x, y), (x, x), (y, y)))
    gradient_x = 2 * _cost_gradient(plan, x, y) - 2 * _cost_gradient(plan_x, x, x)
    gradient_y = 2 * _cost_gradient(plan.T, y, x) - 2 * _cost_gradient(plan_y, y, y)
    return 2 * between - of_x - of_y, np.concatenate([gradient_x, gradient_y])


def errors(size, dim, value, gradients=None, *, share=1.0):
    """Compare a Sinkhorn divergence and its gradients with a float64 reference, and return the relative errors.

    They are {"value error", "gradient error"}, None where not finite.

    Args:
        size, dim: of the problem.
        value: its divergence.
        gradients: with respect to x and y, or None.
        share: the fraction of the paper's divergence that it computes (libraries: 0.5).
    """
    true_value, true_gradient = solution(size, dim)
    result = {"value error": abs(float(value) / share - true_value) / true_value}
    if gradients is not None:
        gradient = np.concatenate([np.asarray(g, "float64") for g in gradients]) / share
        result["gradient error"] = float(np.linalg.norm(gradient - true_gradient) / np.linalg.norm(true_gradient))
    return {name: error if np.isfinite(error) else None for name, error in result.items()}


def fewest_iterations(*, factory, target, steps, **arguments):
    """Prepare a Sinkhorn solver with the fewest iterations that reach the required gradient accuracy.

    Args:
        factory: "package.module:function", of a contestant that takes `iterations`.
        target: largest relative error of its gradient.
        steps: numbers of iterations to try, rising; if none reaches the target, the last is used.
        **arguments: other arguments of the factory.

    Returns:
        The factory's `Prepared`, with the further facts "iterations" and "reached": whether the target was.
    """
    module, function = factory.split(":")
    prepare = getattr(importlib.import_module(module), function)
    for iterations in steps:
        contestant = prepare(iterations=iterations, **arguments)
        error = contestant.facts["gradient error"]
        reached = error is not None and error <= target
        if reached:
            break
    return contestant._replace(facts={**contestant.facts, "iterations": iterations, "reached": reached})


def _costs(x, y):
    norms = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)
    return np.maximum(norms - 2 * x @ y.T, 0)


def _solve(x, y):
    """Solve entropic optimal transport between two point sets.

    Returns:
        The dual value W = mean(f) + mean(g), and the transport plan.
    """
    size = len(x)
    kernel = np.exp(-_costs(x, y) / EPSILON)
    u, v = np.ones(size), np.ones(size)
    for _ in range(_MAX_STEPS):
        if x is y:
            u = v = np.sqrt(v * size / (kernel @ v))  # alternating steps take thousands where the plan is near diagonal
        else:
            u = size / (kernel @ v)
            v = size / (kernel.T @ u)
        if np.abs(u * (kernel @ v) / size - 1).max() < _TOLERANCE:
            return EPSILON * (np.log(u).mean() + np.log(v).mean()), u[:, None] * kernel * v / size**2
    raise ArithmeticError(f"The reference solution did not converge in {_MAX_STEPS} iterations.")


def _cost_gradient(plan, x, y):
    """Return the gradient of a transport plan's total cost with respect to the source points.

    The cost is <plan, cost>; the plan and y are fixed.
    """
    return 2 * (plan.sum(axis=1)[:, None] * x - plan @ y)
