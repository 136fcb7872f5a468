"""EM routing: a Gaussian mixture fitted to the mapped activations."""

import math
from functools import partial

import keras
from keras import ops

from encapnet_tf.arguments import whole_number
from encapnet_tf.ops.precision import at_least_float32
from encapnet_tf.ops.routing.mapped_capsules import homogeneous, mapped

# Mapped activations of one piece, a sample: 2048 capsules of dimension 16 from 2048 come in 16 pieces.
_PIECE = 2**22
_LEAST_MASS = 1e-8  # of a higher capsule that no lower one is assigned to
_LEAST_VARIANCE = 1e-9  # of a cluster whose members agree to the last bit: log and division stay finite


def em_routing(
    capsules,
    activations,
    kernel,
    bias,
    beta_u,
    beta_a,
    iterations: int = 3,
    rescale: bool = False,
    inverse_temperature: float = 0.01,
    recompute: bool = False,
):
    """Routes lower capsules to higher ones by expectation maximisation (Eqs. 2 and 3).

    With the mapped activations v_{j|i}, the activations a_i, and R_ij = 1 / num_capsules at first, iteration r is

        M step: R_ij <- R_ij a_i,    S_j = sum_i R_ij,    mu_j = sum_i R_ij v_{j|i} / S_j,
                sigma_j^2 = sum_i R_ij (v_{j|i} - mu_j)^2 / S_j    (for each component),
                cost_j = S_j sum_d (beta_u_j + log sigma_jd),    a_j = sigmoid(lambda_r (beta_a_j - cost_j))
        E step: R_ij = softmax_j(log a_j + log N(v_{j|i}; mu_j, sigma_j^2))    (not after the last M step)

    with lambda_r = inverse_temperature * (1 - 0.95^(r + 1)), the published schedule. The densities stay logarithms, so
    neither a narrow cluster nor a far one over- or underflows in float32.

    The mapped activations are formed in pieces, some higher capsules at a time, and the gradient forms them again: at
    2048 capsules from 2048, batch 8, they alone would be 2 GiB for every one of the dozen times that it reads them.

    Args:
        capsules: (batch, num_input_capsules, positions, input_dim).
        activations: (batch, num_input_capsules, positions), not negative.
        kernel: (num_input_capsules, input_dim, num_capsules, capsule_dim).
        bias: (num_input_capsules, num_capsules, capsule_dim).
        beta_u, beta_a: (num_capsules,): cost of describing a component, and of staying silent.
        iterations: rounds of routing.
        rescale: the release's EM instead. Differs from the paper: costs, and the squared distances in the density, are
            stretched to -5 to 5 over the higher capsules, and lambda_r = 1 + r.
        inverse_temperature: what lambda_r tends to.
        recompute: whether a gradient will be taken, to be spared memory; changes no value.

    Returns:
        The higher capsules mu, (batch, num_capsules, capsule_dim), and their activations, (batch, num_capsules), in at
        least float32.

    Raises:
        ValueError: `iterations` is not positive.

    Example:

    >>> import numpy as np
    >>> u, kernel, bias = np.ones((2, 4, 9, 6)), np.ones((4, 6, 5, 8)), np.zeros((4, 5, 8))
    >>> capsules, activations = em_routing(u, np.ones((2, 4, 9)), kernel, bias, np.zeros(5), np.zeros(5))
    >>> tuple(capsules.shape), tuple(activations.shape)
    ((2, 5, 8), (2, 5))
    """
    whole_number("iterations", iterations)
    u, w = homogeneous(capsules, kernel, bias)
    num_capsules = w.shape[2]
    activations, beta_u, beta_a = map(at_least_float32, (activations, beta_u, beta_a))
    weight = activations[..., None]  # a_i: (batch, inputs, positions, 1)
    assignment = ops.full((*ops.shape(u)[:-1], num_capsules), 1 / num_capsules, dtype=u.dtype)  # R
    pieces = partial(_in_pieces, count=_pieces(u, w), recompute=recompute)
    for r in range(iterations):
        weighted = assignment * weight
        mass = ops.sum(weighted, axis=(1, 2)) + _LEAST_MASS
        gathered = ops.matmul(ops.swapaxes(weighted, -1, -2), u)  # positions summed first, as in dynamic routing
        mu = ops.einsum("bgje,gejd->bjd", gathered, w) / mass[..., None]
        # The deviations' weighted sum is 0 at their mean, so no gradient passes through mu here.
        squares = pieces(_summed_over_inputs, u, w, ops.stop_gradient(mu), weighted)
        variance = squares / mass[..., None]
        log_variance = ops.log(variance + _LEAST_VARIANCE)
        cost = mass * ops.sum(0.5 * log_variance + beta_u[:, None], axis=-1)
        schedule = 1 + r if rescale else inverse_temperature * (1 - 0.95 ** (r + 1))
        logit = schedule * (beta_a - (_rescaled(cost) if rescale else cost))
        if r < iterations - 1:
            distance = pieces(_summed_over_components, u, w, mu, 0.5 / (variance + _LEAST_VARIANCE))
            log_norm = 0.5 * ops.sum(log_variance + math.log(2 * math.pi), axis=-1)
            if rescale:  # the release adds its epsilon to the density's divisor, which a narrow cluster falls below
                distance, log_norm = _rescaled(distance), ops.logaddexp(log_norm, math.log(2.2e-16))
            score = ops.log_sigmoid(logit) - log_norm  # log a_j and the part of the density that all i share
            assignment = ops.softmax(score[:, None, None] - distance, axis=-1)
    return mu, ops.sigmoid(logit)


def _summed_over_inputs(u, w, mu, weight):
    """sum_i R_ij a_i (v_{j|i} - mu_j)^2 of some higher capsules, (batch, outputs, components)."""
    return ops.sum(weight[..., None] * ops.square(mapped(u, w) - mu[:, None, None]), axis=(1, 2))


def _summed_over_components(u, w, mu, weight):
    """sum_d weight_jd (v_{j|i} - mu_jd)^2 of some higher capsules, (batch, inputs, positions, outputs)."""
    return ops.sum(weight[:, None, None] * ops.square(mapped(u, w) - mu[:, None, None]), axis=-1)


def _rescaled(x):
    """The release's N: -5 at the least of the higher capsules, 5 at the largest."""
    least = ops.min(x, axis=-1, keepdims=True)
    range_ = ops.max(x, axis=-1, keepdims=True) - least
    return 10 * (x - least) / ops.where(range_ > 0, range_, 1) - 5


def _pieces(u, w):
    """How many pieces the mapped activations come in; one where the number of positions is not known."""
    inputs, positions = u.shape[1:3]
    return math.ceil(inputs * (positions or 1) * w.shape[2] * w.shape[3] / _PIECE)


def _in_pieces(function, u, w, mu, weight, count, recompute):
    """`function` on `count` pieces of the higher capsules, one after another."""
    if recompute:
        function = keras.remat(function)
    size = math.ceil(w.shape[2] / count)
    results = []
    for start in range(0, w.shape[2], size):
        part = slice(start, start + size)
        weight_part = weight[:, part] if len(weight.shape) == 3 else weight[..., part]
        results.append(function(u, w[:, :, part], mu[:, part], weight_part))
    return results[0] if count == 1 else ops.concatenate(results, axis=-1 if len(results[0].shape) == 4 else 1)
