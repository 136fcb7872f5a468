"""Dynamic routing (routing by agreement) between two layers of capsules."""

from keras import ops as K

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.ops.routing.attention import attend_to_votes, sum_votes
from encapnet_tf.ops.routing.mapped_capsules import fold_bias
from encapnet_tf.ops.squash import squash

SOFTMAX_OVER = ("output", "input")


def dynamic_routing(
    capsules,
    kernel,
    bias=None,
    iterations: int = 3,
    softmax_over: str = "output",
    *,
    epsilon: float | None = None,
    recompute: bool = False,
):
    """Compute higher capsules from lower capsules by dynamic routing (EncapNet paper, Eq. 1).

        c = softmax(b),    s_j = sum_i c_ij v_{j|i},    v_j = squash(s_j),    b_ij <- b_ij + v_{j|i} . v_j

    with b = 0 at first. The votes v_{j|i} = W_ij u_i + b_ij are never formed. Both sums over them are linear in u_i, so
    positions are summed before they are mapped, and v_j is mapped back before it meets them:

        sum_p c_pj (W_j u_p) = W_j (sum_p c_pj u_p),    (W_j u_p) . v_j = u_p . (W_j' v_j)

    The values are equal. For 2048 capsules of dimension 16 from 2048 this takes a sixteenth of the memory and of the
    arithmetic of forming the votes. With one position there is nothing to sum before the mapping. The softmax over
    "output" then reads the votes in pieces, since b_ij = v_{j|i} . (sum of the v_j so far).

    Args:
        capsules: u, (batch, num_input_capsules, positions, input_dim).
        kernel: W, (num_input_capsules, input_dim, num_capsules, capsule_dim).
        bias: (num_input_capsules, num_capsules, capsule_dim), or None for 0.
        iterations: rounds of routing, R in section 2.1.
        softmax_over: "output": the couplings of a lower capsule sum to 1 over the higher ones, as published; "input":
            those of a higher capsule sum to 1 over the lower ones, as in the paper's release.
        epsilon: argument of `squash`.
        recompute: whether votes in several pieces are computed again in the backward pass; changes no value.

    Returns:
        The higher capsules v, (batch, num_capsules, capsule_dim), in at least float32.

    Raises:
        ValueError: `iterations` is not positive or `softmax_over` is unknown.

    Example:

    >>> import numpy as np
    >>> u, kernel, bias = np.ones((2, 4, 9, 6)), np.ones((4, 6, 5, 8)), np.zeros((4, 5, 8))
    >>> tuple(dynamic_routing(u, kernel, bias).shape)
    (2, 5, 8)
    """
    whole_number("iterations", iterations)
    one_of("softmax_over", softmax_over, SOFTMAX_OVER)
    u, w = fold_bias(capsules, kernel, bias)
    if u.shape[2] == 1 and softmax_over == "output":
        return _route_votes_in_pieces(u, w, iterations, epsilon, recompute)
    logits = K.zeros((*K.shape(u)[:-1], w.shape[2]), dtype=u.dtype)  # b: (batch, inputs, positions, outputs)
    for r in range(iterations):
        couplings = K.softmax(logits, axis=-1) if softmax_over == "output" else _softmax_over_inputs(logits)
        u_sum = K.matmul(K.swapaxes(couplings, -1, -2), u)  # sum_p c_pj u_p: (batch, inputs, outputs, input_dim)
        v = squash(K.einsum("bgje,gejd->bjd", u_sum, w), epsilon=epsilon)
        if r < iterations - 1:
            v_mapped_back = K.einsum("bjd,gejd->bgej", v, w)  # W_j' v_j
            logits = logits + K.matmul(u, v_mapped_back)
    return v


def _route_votes_in_pieces(u, w, iterations, epsilon, recompute):
    """Apply dynamic routing with a softmax over the higher capsules, in chunks of votes to save memory.

    Each lower capsule has weights of its own.
    """
    capsules = K.transpose(u, (1, 0, 2, 3))
    v = v_sum = squash(sum_votes(capsules, w) / w.shape[2], epsilon=epsilon)
    for _ in range(iterations - 1):
        v = squash(attend_to_votes(capsules, w, v_sum, recompute=recompute), epsilon=epsilon)
        v_sum = v_sum + v
    return v


def _softmax_over_inputs(logits):
    """Compute the softmax of routing logits over all input capsules and positions.

    `K.softmax` over several axes needs their sizes known.
    """
    shape = K.shape(logits)
    return K.reshape(K.softmax(K.reshape(logits, (-1, shape[1] * shape[2], shape[3])), axis=1), shape)
