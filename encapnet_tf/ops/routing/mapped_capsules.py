"""Mapped activations: what every lower capsule says of every higher one."""

from keras import ops

from encapnet_tf.ops.precision import at_least_float32


def homogeneous(capsules, kernel, bias):
    """The mapping with its bias as one more input component, which is always 1: (u, 1) and (W, b) stacked.

    Args:
        capsules: (batch, num_input_capsules, positions, input_dim).
        kernel: (num_input_capsules, input_dim, num_capsules, capsule_dim).
        bias: (num_input_capsules, num_capsules, capsule_dim).

    Returns:
        (batch, num_input_capsules, positions, input_dim + 1) and
        (num_input_capsules, input_dim + 1, num_capsules, capsule_dim), in at least float32.
    """
    capsules, kernel, bias = map(at_least_float32, (capsules, kernel, bias))
    capsules = ops.concatenate([capsules, ops.ones_like(capsules[..., :1])], axis=-1)
    return capsules, ops.concatenate([kernel, bias[:, None]], axis=1)


def mapped_capsules(capsules, kernel, bias):
    """Maps every lower capsule into the space of every higher one: v_{j|i} = W_ij u_i + b_ij (section 2.1).

    Positions share the matrices of their capsule (Fig. 1b: a 1x1 convolution grouped by capsule). This is the tensor
    that fills a memory, num_capsules * capsule_dim numbers for each input capsule: the routing functions never hold it
    whole.

    Args:
        capsules: (batch, num_input_capsules, positions, input_dim).
        kernel: (num_input_capsules, input_dim, num_capsules, capsule_dim).
        bias: (num_input_capsules, num_capsules, capsule_dim).

    Returns:
        (batch, num_input_capsules, positions, num_capsules, capsule_dim), in at least float32.

    Example:

    >>> import numpy as np
    >>> u, kernel, bias = np.ones((2, 4, 9, 6)), np.ones((4, 6, 5, 8)), np.ones((4, 5, 8))
    >>> mapped = mapped_capsules(u, kernel, bias)
    >>> tuple(mapped.shape), float(mapped[0, 0, 0, 0, 0])
    ((2, 4, 9, 5, 8), 7.0)
    """
    return mapped(*homogeneous(capsules, kernel, bias))


def mapped(capsules, kernel):
    """`mapped_capsules` of homogeneous capsules and kernel: one matrix product a capsule."""
    groups, input_dim, num_capsules, capsule_dim = kernel.shape
    flat = ops.matmul(capsules, ops.reshape(kernel, (groups, input_dim, num_capsules * capsule_dim)))
    return ops.reshape(flat, (*ops.shape(flat)[:-1], num_capsules, capsule_dim))
