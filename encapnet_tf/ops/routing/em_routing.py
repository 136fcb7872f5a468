"""EM routing, which fits a mixture of Gaussians to the votes of the lower capsules."""

import math
from functools import partial

import keras
from keras import ops as K

from encapnet_tf.arguments import check_shapes, finite_number, whole_number
from encapnet_tf.ops.precision import at_least_float32, floating_together
from encapnet_tf.ops.routing.mapped_capsules import fold_bias, votes

# Largest number of vote entries of one sample that are held at once. The votes of 2048 capsules for 2048 capsules of
# dimension 16 are computed in 16 pieces.
_VOTES_PER_PIECE = 2**22
_LEAST_MASS = 1e-8  # added to S_j, which is 0 for a higher capsule without any assigned lower capsule
_LEAST_VARIANCE = 1e-9  # added to sigma^2, which is 0 if all votes are equal, so that log and division stay finite
_RELEASE_EPSILON = 2.2e-16  # the paper's released code adds this to the divisor of the density


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
    """Compute higher capsules from lower capsules by expectation maximisation (EncapNet paper, Eqs. 2 and 3).

    With the votes v_{j|i}, the activations a_i, and R_ij = 1 / num_capsules at first, iteration r is

        M step: R_ij <- R_ij a_i,    S_j = sum_i R_ij,    mu_j = sum_i R_ij v_{j|i} / S_j,
                sigma_j^2 = sum_i R_ij (v_{j|i} - mu_j)^2 / S_j    (for each component),
                cost_j = S_j sum_d (beta_u_j + log sigma_jd),    a_j = sigmoid(lambda_r (beta_a_j - cost_j))
        E step: R_ij = softmax_j(log a_j + log N(v_{j|i}; mu_j, sigma_j^2))    (not after the last M step)

    with lambda_r = inverse_temperature * (1 - 0.95^(r + 1)), the schedule published with EM routing. Densities stay
    logarithms, so that neither narrow clusters nor distant votes over- or underflow in float32.

    The votes are computed in pieces, for some higher capsules at a time. All votes of 2048 capsules for 2048 capsules
    would take 2 GiB at batch 8, and they are read a dozen times.

    Args:
        capsules: (batch, num_input_capsules, positions, input_dim).
        activations: (batch, num_input_capsules, positions), not negative.
        kernel: (num_input_capsules, input_dim, num_capsules, capsule_dim).
        bias: (num_input_capsules, num_capsules, capsule_dim).
        beta_u, beta_a: (num_capsules,), the cost per component of using a capsule, and the cost of leaving it inactive.
        iterations: rounds of routing.
        rescale: True selects EM routing as in the paper's released code. Differs from the paper: costs, and the squared
            distances in the density, are rescaled to the range -5 to 5 over the higher capsules, and lambda_r = 1 + r.
        inverse_temperature: the limit of lambda_r.
        recompute: True recomputes the votes in the backward pass, to save memory in training; changes no value.

    Returns:
        The higher capsules mu, (batch, num_capsules, capsule_dim), and their activations, (batch, num_capsules), in at
        least float32.

    Raises:
        ValueError: `iterations` is not positive, or `inverse_temperature` is negative or not finite.

    Example:

    >>> import numpy as np
    >>> u, kernel, bias = np.ones((2, 4, 9, 6)), np.ones((4, 6, 5, 8)), np.zeros((4, 5, 8))
    >>> capsules, activations = em_routing(u, np.ones((2, 4, 9)), kernel, bias, np.zeros(5), np.zeros(5))
    >>> tuple(capsules.shape), tuple(activations.shape)
    ((2, 5, 8), (2, 5))
    """
    capsules, activations, _ = route_by_em(
        capsules, activations, kernel, bias, beta_u, beta_a, iterations, rescale, inverse_temperature, recompute
    )
    return capsules, activations


def route_by_em(
    capsules, activations, kernel, bias, beta_u, beta_a, iterations, rescale, inverse_temperature, recompute=False
):
    """Compute higher capsules, their activations and the weights of the votes by expectation maximisation.

    Args:
        As in `em_routing`.

    Returns:
        The results of `em_routing`, and the weights R_ij a_i of the votes in the last M step, (batch,
        num_input_capsules, positions, num_capsules).
    """
    whole_number("iterations", iterations)
    finite_number("inverse_temperature", inverse_temperature, least=0)
    tensors = floating_together(capsules, kernel, bias, activations, beta_u, beta_a)
    capsules, kernel, bias, activations, beta_u, beta_a = map(at_least_float32, tensors)
    check_shapes(
        capsules=(capsules, "batch, num_input_capsules, positions, input_dim"),
        activations=(activations, "batch, num_input_capsules, positions"),
        kernel=(kernel, "num_input_capsules, input_dim, num_capsules, capsule_dim"),
        beta_u=(beta_u, "num_capsules"),
        beta_a=(beta_a, "num_capsules"),
    )
    u, w = fold_bias(capsules, kernel, bias)
    num_capsules = w.shape[2]
    a = activations[..., None]  # a_i: (batch, inputs, positions, 1)
    assignment = K.full((*K.shape(u)[:-1], num_capsules), 1 / num_capsules, dtype=u.dtype)  # R
    sum_in_pieces = partial(_sum_in_pieces, u=u, w=w, recompute=recompute)
    for r in range(iterations):
        weighted = assignment * a
        mass = K.sum(weighted, axis=(1, 2)) + _LEAST_MASS  # S_j
        # Positions share a matrix, so the sum over them comes before the product with it.
        u_sum = K.matmul(K.swapaxes(weighted, -1, -2), u)
        mu = K.einsum("bgje,gejd->bjd", u_sum, w) / mass[..., None]
        # The derivative of the squares with respect to mu, their weighted mean, is 0, so mu needs no gradient here.
        squares = sum_in_pieces(_sum_over_inputs, mu=K.stop_gradient(mu), weight=weighted)
        variance = squares / mass[..., None]
        log_variance = K.log(variance + _LEAST_VARIANCE)
        cost = mass * K.sum(0.5 * log_variance + beta_u[:, None], axis=-1)
        inverse_temperature_r = 1 + r if rescale else inverse_temperature * (1 - 0.95 ** (r + 1))
        logit = inverse_temperature_r * (beta_a - (_rescale(cost) if rescale else cost))
        if r < iterations - 1:
            distance = sum_in_pieces(_sum_over_components, mu=mu, weight=0.5 / (variance + _LEAST_VARIANCE))
            log_norm = 0.5 * K.sum(log_variance + math.log(2 * math.pi), axis=-1)
            if rescale:
                distance, log_norm = _rescale(distance), K.logaddexp(log_norm, math.log(_RELEASE_EPSILON))
            score = K.log_sigmoid(logit) - log_norm  # log a_j, and the term of log N that does not depend on i
            assignment = K.softmax(score[:, None, None] - distance, axis=-1)
    return mu, K.sigmoid(logit), weighted


def _sum_over_inputs(u, w, mu, weight):
    """Compute, for each higher capsule, the weighted sum of the votes' squared deviations from the capsule's mean.

    M step of EM routing. The sum is over the input capsules, separately for each component.

    sum_i R_ij a_i (v_{j|i} - mu_j)^2    (batch, outputs, components)
    """
    return K.sum(weight[..., None] * K.square(votes(u, w) - mu[:, None, None]), axis=(1, 2))


def _sum_over_components(u, w, mu, weight):
    """Compute half the squared Mahalanobis distance of each vote to each higher capsule (EM routing, E step).

    It is the negative exponent of the Gaussian density, summed over the components, with weight = 1 / (2 sigma^2).

    sum_d weight_jd (v_{j|i} - mu_jd)^2    (batch, inputs, positions, outputs)
    """
    return K.sum(weight[:, None, None] * K.square(votes(u, w) - mu[:, None, None]), axis=-1)


def _rescale(x):
    """Rescale a tensor linearly along the last axis, to the range from -5 to 5.

    That axis is over the higher capsules. The paper's released code calls this normalisation N.
    """
    least = K.min(x, axis=-1, keepdims=True)
    width = K.max(x, axis=-1, keepdims=True) - least
    return 10 * (x - least) / K.where(width > 0, width, 1) - 5


def _sum_in_pieces(function, *, u, w, mu, weight, recompute):
    """Sum the squared vote deviations of EM routing, for a few higher capsules at a time to save memory.

    The function sums over input capsules or over components. The sums are concatenated.

    Args:
        function: `_sum_over_inputs` or `_sum_over_components`.
        u, w, mu, weight: the function's tensors.
        recompute: whether the votes are recomputed in the backward pass.
    """
    num_capsules = w.shape[2]
    count = _count_pieces(u, w)
    size = math.ceil(num_capsules / count)
    if recompute:
        function = keras.remat(function)
    sums = []
    for start in range(0, num_capsules, size):
        piece = slice(start, start + size)
        weight_piece = weight[:, piece] if len(weight.shape) == 3 else weight[..., piece]
        sums.append(function(u, w[:, :, piece], mu[:, piece], weight_piece))
    return sums[0] if count == 1 else K.concatenate(sums, axis=-1 if len(sums[0].shape) == 4 else 1)


def _count_pieces(u, w):
    """Return the number of chunks into which EM routing splits the higher capsules to save memory.

    An unknown number of positions counts as 1.
    """
    inputs, positions = u.shape[1:3]
    return math.ceil(inputs * (positions or 1) * w.shape[2] * w.shape[3] / _VOTES_PER_PIECE)
