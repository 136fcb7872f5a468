"""Inverted dot-product attention routing (Tsai, Srivastava, Goh and Salakhutdinov, ICLR 2020)."""

from keras import ops as K

from encapnet_tf.ops.routing.attention import attend_to_votes, sum_votes

POSES = ("vector", "matrix")
_EPSILON = 1e-5  # of the layer normalisation


def inverted_attention(
    capsules,
    kernel,
    scale,
    offset,
    iterations: int,
    previous=None,
    *,
    positions: int = 1,
    recompute: bool = False,
):
    """Compute higher capsules from lower capsules by inverted dot-product attention.

        r_ij = softmax_j(V_ij . v_j / sqrt(capsule_dim)),    v_j = LayerNorm(sum_i r_ij V_ij),    V_ij = P_i W_ij

    In the first pass there is no v_j yet, and r_ij = 1 / outputs.

    Args:
        capsules: P, (inputs, samples, rows, columns); a vector pose is one row.
        kernel: W, (inputs, columns, outputs, new columns).
        scale, offset: of the layer normalisation, (capsule_dim,), or None: capsules are not normalised.
        iterations: number of passes.
        previous: higher capsules v (samples, outputs, capsule_dim) of the pass before, or None.
        positions, recompute: as in `attend_to_votes`.

    Returns:
        v, (samples, outputs, capsule_dim).
    """
    v = previous
    for _ in range(iterations):
        if v is None:
            sums = sum_votes(capsules, kernel) / kernel.shape[2]
        else:
            query = v * v.shape[-1] ** -0.5
            sums = attend_to_votes(capsules, kernel, query, positions=positions, recompute=recompute)
        v = sums if scale is None else _layer_norm(sums) * scale + offset
    return v


def _layer_norm(x):
    """Shift and scale the components of each capsule to mean 0 and variance 1."""
    centred = x - K.mean(x, axis=-1, keepdims=True)
    return centred * K.rsqrt(K.mean(centred * centred, axis=-1, keepdims=True) + _EPSILON)
