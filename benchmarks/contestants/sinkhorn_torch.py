"""Benchmarks of the Sinkhorn divergences in GeomLoss and POT, run in PyTorch.

The number of iterations is fixed.
"""

import math

import torch

from benchmarks.contestants import sinkhorn_problem as problem
from benchmarks.harness.contestant import Prepared


def geomloss_annealed(*, size, dim, iterations, gradient):
    """Return a function, to be timed, that computes GeomLoss's Sinkhorn divergence with annealed epsilon.

    Epsilon falls from the squared diameter in `iterations` steps.
    """
    from geomloss import SamplesLoss

    x, y = (torch.from_numpy(a) for a in problem.points(size, dim))
    diameter, blur = float(torch.cdist(x, y).max()), math.sqrt(problem.EPSILON)
    # GeomLoss's schedule is the diameter, then one entry for each factor of `scaling`, then the blur.
    scaling = (blur / diameter) ** (1 / (iterations - 2.5))
    loss = SamplesLoss("sinkhorn", 2, blur, None, diameter, scaling, cost=_costs, backend="tensorized")
    return _prepare(loss, size, dim, gradient)


def geomloss_loop(*, size, dim, iterations, gradient):
    """Return a function, to be timed, that computes GeomLoss's Sinkhorn divergence with constant epsilon.

    It is built from GeomLoss's internal functions.
    """
    from geomloss._legacy.sinkhorn_divergence import sinkhorn_cost, sinkhorn_loop
    from geomloss._legacy.sinkhorn_samples import softmin_tensorized

    weights = torch.full((1, size), 1 / size)

    def divergence(x, y):
        x, y = x[None], y[None]
        fixed_x, fixed_y = x.detach(), y.detach()
        matrices = _costs(x, fixed_x), _costs(y, fixed_y), _costs(x, fixed_y), _costs(y, fixed_x)
        logs = weights.log()
        epsilons = [problem.EPSILON] * iterations
        potentials = sinkhorn_loop(softmin_tensorized, logs, logs, *matrices, epsilons, None)
        return sinkhorn_cost(problem.EPSILON, None, weights, weights, *potentials, batch=True)[0]

    return _prepare(divergence, size, dim, gradient)


def pot(*, size, dim, iterations, gradient, log_domain):
    """Return a function, to be timed, that computes a Sinkhorn divergence with POT, optionally with gradients.

    It uses POT's batched solver. The gradient is by the envelope theorem.

    Args:
        size, dim, iterations, gradient: as in `sinkhorn_keras.ours`.
        log_domain: whether the iterations are on potentials (stable) or on scalings (faster).
    """
    from ot.batch import solve_batch

    method = "log_sinkhorn" if log_domain else "sinkhorn"

    def divergence(x, y):
        cost = _costs(torch.stack([x, x, y]), torch.stack([y, x, y]))
        solution = solve_batch(cost, problem.EPSILON, max_iter=iterations, tol=0.0, method=method, reg_type="kl")
        return solution.value[0] - (solution.value[1] + solution.value[2]) / 2

    return _prepare(divergence, size, dim, gradient)


def _costs(x, y):
    """Compute the matrix of squared Euclidean distances between two point sets, for each pair of sets in a batch.

    Their shape is (batch, B, B).
    """
    norms = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None]
    return norms - 2 * x @ y.transpose(1, 2)


def _prepare(divergence, size, dim, gradient):
    x, y = (torch.from_numpy(a).requires_grad_(gradient) for a in problem.points(size, dim))

    def run():
        value = divergence(x, y)
        return (value, torch.autograd.grad(value, (x, y))) if gradient else (value, None)

    value, gradients = run()
    return Prepared(run, problem.errors(size, dim, value.detach(), gradients, share=0.5))
