"""The Sinkhorn divergence in float64 NumPy, solved in the log domain until it has converged."""

import numpy as np
from scipy.special import logsumexp


def cost_matrix(x, y, cost):
    """Q, by the definition: no Gram form, no centring."""
    x, y = np.float64(x), np.float64(y)
    if cost == "cosine":
        return 1.0 - direction(x) @ direction(y).T
    squared = np.sum((x[:, None] - y[None]) ** 2, axis=-1)
    return squared if cost == "sqeuclidean" else np.sqrt(squared)


def direction(x):
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)


def self_cost(x, cost):
    """Q of a set with itself; rounding leaves the cosine of a row with itself a little off 0."""
    matrix = cost_matrix(x, x, cost)
    np.fill_diagonal(matrix, np.where((cost == "cosine") & (np.linalg.norm(x, axis=1) == 0), 1.0, 0.0))
    return matrix


def weights_of(count, weights):
    return np.full(count, 1 / count) if weights is None else np.float64(weights)


def solve(cost, epsilon, a=None, b=None):
    """Potentials and plan: alternating log-domain steps from large to small epsilon, then Newton's on the dual.

    All weights must be positive.
    """
    a, b = map(weights_of, cost.shape, (a, b))
    size, g = len(a), np.zeros(len(b))

    def alternate(g, e):
        f = -e * logsumexp((g[None] - cost) / e + np.log(b), axis=1)
        return f, -e * logsumexp((f[:, None] - cost) / e + np.log(a)[:, None], axis=0)

    ladder = [e for e in cost.max() * 0.5 ** np.arange(30) if e > epsilon]
    for e in [*ladder, epsilon]:
        for _ in range(20):
            f, g = alternate(g, e)
    for _ in range(300):
        plan = a[:, None] * b * np.exp((f[:, None] + g[None] - cost) / epsilon)
        missing = np.concatenate([a - plan.sum(1), b - plan.sum(0)])
        if np.abs(missing).sum() < 1e-13:
            break
        step = epsilon * np.linalg.solve(marginal_matrix(plan), missing)
        step *= min(1.0, epsilon / np.abs(step).max())  # farther out the dual is far from quadratic
        f, g = f + step[:size], g + step[size:]
    assert np.abs(missing).sum() < 1e-9, "the reference itself has not converged"
    return f, g, plan


def marginal_matrix(plan):
    """Maps (f, g) to the change of the plan's marginals: what Newton's step and the adjoint both solve with.

    A constant may move from f to g, so it is singular; the ridge picks one of the solutions.
    """
    matrix = np.block([[np.diag(plan.sum(1)), plan], [plan.T, np.diag(plan.sum(0))]])
    return matrix + 1e-13 * np.eye(len(matrix)) / len(plan)


def transport(cost, epsilon, value="sharp", a=None, b=None):
    """W(Q): the sharp value <P, Q> or the dual one, the weighted means of f and g."""
    f, g, plan = solve(cost, epsilon, a, b)
    return np.sum(plan * cost) if value == "sharp" else weights_of(len(f), a) @ f + weights_of(len(g), b) @ g


def transport_and_slope(cost, epsilon, value="sharp", differentiate_plan=True, a=None, b=None):
    """W and dW/dQ. Of the dual value that is P (envelope theorem), of the sharp one with P's own change what remains of
    Q when the part that the marginals hold fixed is taken off."""
    f, g, plan = solve(cost, epsilon, a, b)
    if value == "dual":
        return weights_of(len(f), a) @ f + weights_of(len(g), b) @ g, plan
    if not differentiate_plan:
        return np.sum(plan * cost), plan
    weighted = plan * cost
    marginals = np.concatenate([weighted.sum(1), weighted.sum(0)])
    fixed = np.linalg.solve(marginal_matrix(plan), marginals)
    alpha, beta = fixed[: len(cost)], fixed[len(cost) :]
    return np.sum(weighted), plan * (1 - (cost - alpha[:, None] - beta[None]) / epsilon)


def divergence(x, y, epsilon, cost, value="sharp", debias=True, a=None, b=None):
    between = transport(cost_matrix(x, y, cost), epsilon, value, a, b)
    if not debias:
        return between
    return 2 * between - sum(transport(self_cost(z, cost), epsilon, value, w, w) for z, w in ((x, a), (y, b)))


def value_and_gradients(x, y, epsilon, cost, value="sharp", debias=True, differentiate_plan=True, a=None, b=None):
    """The divergence, and (d/dx, d/dy), stacked for sets of equal size."""
    x, y = np.float64(x), np.float64(y)
    factor = 2 if debias else 1
    total, slope = transport_and_slope(cost_matrix(x, y, cost), epsilon, value, differentiate_plan, a, b)
    total *= factor
    gradients = [factor * through_cost(slope, x, y, cost), factor * through_cost(slope.T, y, x, cost)]
    for i, (points, w) in enumerate(((x, a), (y, b)) if debias else ()):
        within, slope = transport_and_slope(self_cost(points, cost), epsilon, value, differentiate_plan, w, w)
        total -= within
        gradients[i] -= through_cost(slope + slope.T, points, points, cost)
    return total, np.stack(gradients) if len(x) == len(y) else gradients


def gradients(x, y, *arguments, **options):
    return value_and_gradients(x, y, *arguments, **options)[1]


def through_cost(slopes, x, y, cost):
    """sum_j slopes_ij dQ_ij/dx_i."""
    if cost == "cosine":
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        unit, pull = direction(x), slopes @ direction(y)
        across = pull - unit * np.sum(pull * unit, axis=1, keepdims=True)
        return -np.divide(across, norms, out=np.zeros_like(x), where=norms > 0)
    difference = x[:, None] - y[None]
    if cost == "sqeuclidean":
        return 2 * np.einsum("ij,ijd->id", slopes, difference)
    distance = np.linalg.norm(difference, axis=-1)
    return np.einsum(
        "ij,ijd->id", np.divide(slopes, distance, out=np.zeros_like(slopes), where=distance > 0), difference
    )
