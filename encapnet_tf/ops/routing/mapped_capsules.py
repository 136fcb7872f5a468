"""Computation of the votes (predictions) of lower capsules for higher capsules.

They are the mapped activations of the paper.
"""

from keras import ops as K

from encapnet_tf.arguments import check_shapes
from encapnet_tf.ops.precision import at_least_float32, floating_together


def mapped_capsules(capsules, kernel, bias=None):
    """Compute the vote of each lower capsule for each higher capsule (EncapNet paper, section 2.1).

        v_{j|i} = W_ij u_i + b_ij

    The positions of a capsule share its matrices (Fig. 1b: a 1x1 convolution grouped by capsule). The votes need much
    memory, num_capsules * capsule_dim numbers for each input capsule, so the routing functions never hold all of them.

    Args:
        capsules: u, (batch, num_input_capsules, positions, input_dim).
        kernel: W, (num_input_capsules, input_dim, num_capsules, capsule_dim).
        bias: b, (num_input_capsules, num_capsules, capsule_dim), or None for 0.

    Returns:
        v, (batch, num_input_capsules, positions, num_capsules, capsule_dim), in at least float32.

    Example:

    >>> import numpy as np
    >>> u, kernel, bias = np.ones((2, 4, 9, 6)), np.ones((4, 6, 5, 8)), np.ones((4, 5, 8))
    >>> votes = mapped_capsules(u, kernel, bias)
    >>> tuple(votes.shape), float(votes[0, 0, 0, 0, 0])
    ((2, 4, 9, 5, 8), 7.0)
    """
    return votes(*fold_bias(capsules, kernel, bias))


def fold_bias(capsules, kernel, bias):
    """Fold a bias into the kernel of a capsule layer by appending a constant 1 to each input capsule.

    Args:
        capsules: (batch, num_input_capsules, positions, input_dim).
        kernel: (num_input_capsules, input_dim, num_capsules, capsule_dim).
        bias: (num_input_capsules, num_capsules, capsule_dim), or None: then nothing is appended.

    Returns:
        Capsules (batch, num_input_capsules, positions, input_dim + 1) and kernel
        (num_input_capsules, input_dim + 1, num_capsules, capsule_dim), in at least float32.
    """
    if bias is None:
        capsules, kernel = map(at_least_float32, floating_together(capsules, kernel))
        _check_shapes(capsules, kernel, None)
        return capsules, kernel
    capsules, kernel, bias = map(at_least_float32, floating_together(capsules, kernel, bias))
    _check_shapes(capsules, kernel, bias)
    capsules = K.concatenate([capsules, K.ones_like(capsules[..., :1])], axis=-1)
    return capsules, K.concatenate([kernel, bias[:, None]], axis=1)


def _check_shapes(capsules, kernel, bias):
    check_shapes(
        capsules=(capsules, "batch, num_input_capsules, positions, input_dim"),
        kernel=(kernel, "num_input_capsules, input_dim, num_capsules, capsule_dim"),
        bias=(bias, "num_input_capsules, num_capsules, capsule_dim"),
    )


def votes(capsules, kernel):
    """Multiply lower capsules by the weight matrices of a routing layer to compute votes for higher capsules.

    Capsules and kernel are those that `fold_bias` has returned. There is one matrix product per capsule.
    """
    groups, input_dim, num_capsules, capsule_dim = kernel.shape
    flat = K.matmul(capsules, K.reshape(kernel, (groups, input_dim, num_capsules * capsule_dim)))
    return K.reshape(flat, (*K.shape(flat)[:-1], num_capsules, capsule_dim))
