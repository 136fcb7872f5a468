"""The problem that every Sinkhorn solver is given, and its solution in float64."""

import functools

import numpy as np

EPSILON = 0.1
_TOLERANCE = 1e-12
_MOST_STEPS = 10_000


def points(size, dim):
    """Two sets of normal points, the second moved by half a standard deviation, scaled to a mean cost of 1.

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
    """Value 2 W(x, y) - W(x, x) - W(y, y) of the dual kind and its gradients with respect to x and y, converged."""
    x, y = (a.astype("float64") for a in points(size, dim))
    (between, plan), (of_x, plan_x), (of_y, plan_y) = (_solve(*pair) for pair in ((x, y), (x, x), (y, y)))
    gradient_x = 2 * _pull(plan, x, y) - 2 * _pull(plan_x, x, x)
    gradient_y = 2 * _pull(plan.T, y, x) - 2 * _pull(plan_y, y, y)
    return 2 * between - of_x - of_y, np.concatenate([gradient_x, gradient_y])


def errors(size, dim, value, gradients=None, share=1.0):
    """Relative errors of what a contestant found: {"value error", "gradient error"}; None where it is not finite.

    Args:
        size, dim: of the problem.
        value: its divergence.
        gradients: with respect to x and y, or None.
        share: what part of the paper's divergence it means to give (libraries: half).
    """
    true_value, true_gradient = solution(size, dim)
    found = {"value error": abs(float(value) / share - true_value) / true_value}
    if gradients is not None:
        gradient = np.concatenate([np.asarray(g, "float64") for g in gradients]) / share
        found["gradient error"] = float(np.linalg.norm(gradient - true_gradient) / np.linalg.norm(true_gradient))
    return {name: error if np.isfinite(error) else None for name, error in found.items()}


def _costs(x, y):
    norms = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)
    return np.maximum(norms - 2 * x @ y.T, 0)


def _solve(x, y):
    """W, mean f + mean g, and the plan."""
    size = len(x)
    kernel = np.exp(-_costs(x, y) / EPSILON)
    u, v = np.ones(size), np.ones(size)
    for _ in range(_MOST_STEPS):
        if x is y:
            u = v = np.sqrt(v * size / (kernel @ v))  # alternating steps take thousands where the plan is near diagonal
        else:
            u = size / (kernel @ v)
            v = size / (kernel.T @ u)
        if np.abs(u * (kernel @ v) / size - 1).max() < _TOLERANCE:
            return EPSILON * (np.log(u).mean() + np.log(v).mean()), u[:, None] * kernel * v / size**2
    raise ArithmeticError("the reference has not converged")


def _pull(plan, x, y):
    """Gradient of <plan, cost> with respect to x, y held fixed."""
    return 2 * (plan.sum(axis=1)[:, None] * x - plan @ y)
