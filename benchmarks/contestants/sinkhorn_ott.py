"""Benchmark of OTT-JAX's Sinkhorn divergence.

It is jitted and has a fixed number of iterations.
"""

import jax
from ott.geometry import costs, pointcloud
from ott.tools import sinkhorn_divergence

from benchmarks.contestants import sinkhorn_problem as problem
from benchmarks.harness.contestant import Prepared


def ott(*, size, dim, iterations, gradient, log_domain):
    """Return a function, to be timed, that computes OTT-JAX's Sinkhorn divergence, optionally with gradients.

    The gradient is by Danskin's theorem.

    Args:
        size, dim, iterations, gradient: as in `sinkhorn_keras.ours`.
        log_domain: whether the iterations are on potentials (stable) or on scalings (faster).
    """
    solver = {
        "min_iterations": iterations,
        "max_iterations": iterations,
        "inner_iterations": iterations,  # the error is computed once, at the end
        "threshold": 0.0,
        "lse_mode": log_domain,
        "implicit_diff": None,
        "use_danskin": True,
    }

    def divergence(x, y):
        return sinkhorn_divergence.sinkhorn_divergence(
            pointcloud.PointCloud,
            x,
            y,
            epsilon=problem.EPSILON,
            cost_fn=costs.SqEuclidean(),
            relative_epsilon=None,
            solve_kwargs=solver,
        )[0]

    x, y = (jax.numpy.asarray(a) for a in problem.points(size, dim))
    call = jax.jit(jax.value_and_grad(divergence, argnums=(0, 1)) if gradient else divergence)
    value, gradients = call(x, y) if gradient else (call(x, y), None)
    facts = problem.errors(size, dim, value, gradients, share=0.5)
    return Prepared(lambda: jax.block_until_ready(call(x, y)), facts)
