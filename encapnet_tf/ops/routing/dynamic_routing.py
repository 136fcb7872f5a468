"""Dynamic routing: routing by agreement as coordinate descent."""

from keras import ops

from encapnet_tf.arguments import one_of, whole_number
from encapnet_tf.ops.routing.mapped_capsules import homogeneous
from encapnet_tf.ops.squash import squash

SOFTMAX_OVER = ("output", "input")


def dynamic_routing(capsules, kernel, bias, iterations: int = 3, softmax_over: str = "output"):
    """Routes lower capsules to higher ones by dynamic routing (Eq. 1).

        c = softmax(b),    s_j = sum_i c_ij v_{j|i},    v_j = squash(s_j),    b_ij <- b_ij + v_{j|i} . v_j

    with b = 0 at first. The mapped activations v_{j|i} = W_ij u_i + b_ij are never formed. Both sums over them are
    linear in u_i, so positions are summed before they are mapped, and v_j is mapped back before it meets them:
    sum_p c_pj (W_j u_p) = W_j (sum_p c_pj u_p) and (W_j u_p) . v_j = u_p . (W_j' v_j). For 2048 capsules of dimension
    16 from 2048 that is a sixteenth of the memory and of the arithmetic, the values being the same.

    Args:
        capsules: (batch, num_input_capsules, positions, input_dim).
        kernel: (num_input_capsules, input_dim, num_capsules, capsule_dim).
        bias: (num_input_capsules, num_capsules, capsule_dim).
        iterations: rounds of routing, R in section 2.1.
        softmax_over: "output": a lower capsule shares itself out among the higher ones, as published; "input": a higher
            capsule chooses among the lower ones, as the paper's release does.

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
    u, w = homogeneous(capsules, kernel, bias)
    logits = ops.zeros((*ops.shape(u)[:-1], w.shape[2]), dtype=u.dtype)  # b: (batch, inputs, positions, outputs)
    for r in range(iterations):
        coupling = ops.softmax(logits, axis=-1) if softmax_over == "output" else _softmax_over_inputs(logits)
        gathered = ops.matmul(ops.swapaxes(coupling, -1, -2), u)  # sum_p c_pj u_p: (batch, inputs, outputs, input_dim)
        v = squash(ops.einsum("bgje,gejd->bjd", gathered, w))
        if r < iterations - 1:
            expected = ops.einsum("bjd,gejd->bgej", v, w)  # W_j' v_j
            logits = logits + ops.matmul(u, expected)
    return v


def _softmax_over_inputs(logits):
    """Softmax over input capsules and positions together; ops.softmax takes several axes of known sizes only."""
    shape = ops.shape(logits)
    return ops.reshape(ops.softmax(ops.reshape(logits, (-1, shape[1] * shape[2], shape[3])), axis=1), shape)
