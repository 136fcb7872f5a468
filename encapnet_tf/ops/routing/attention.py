"""Attention over capsule votes, which weights each vote by its agreement with a query vector."""

import math

import keras
from keras import ops as K

# Largest number of vote entries of one sample that are held at once: 8 MiB in float32.
_VOTES_PER_PIECE = 2**21


def sum_votes(capsules, kernel):
    """Compute the sum of the votes for each higher capsule without storing the individual votes.

        s_j = sum_i V_ij,    V_ij = P_i W_ij

    Args:
        capsules: P, (inputs, samples, rows, columns).
        kernel: W, (inputs, columns, outputs, new columns).

    Returns:
        (samples, outputs, rows * new columns).
    """
    sums = K.einsum("inmx,ixjy->njmy", capsules, kernel)
    return K.reshape(sums, (-1, sums.shape[1], sums.shape[2] * sums.shape[3]))


def attend_to_votes(capsules, kernel, query, bias=None, *, positions: int = 1, recompute: bool = False):
    """Compute, for each higher capsule, the sum of votes weighted by each vote's agreement with a query vector.

        V_ij = P_i W_ij,    c_ij = softmax_j(V_ij . q_j) + b_ij,    s_j = sum_i c_ij V_ij

    The votes are computed in pieces, for some lower capsules at a time, so that a piece holds at most 2^21 numbers for
    each sample of the batch.

    Args:
        capsules: P, (inputs, samples, rows, columns).
        kernel: W, (inputs, columns, outputs, new columns).
        query: q, (samples, outputs, rows * new columns).
        bias: b, (inputs, outputs), or None for 0.
        positions: how many of the samples belong to one sample of the batch.
        recompute: whether the votes are computed again in the backward pass if there are several pieces. It saves
            memory in training and changes no value.

    Returns:
        s, of the shape of `query`.
    """
    inputs, _, rows, _ = capsules.shape
    _, _, outputs, columns = kernel.shape
    query = K.transpose(K.reshape(query, (-1, outputs, rows, columns)), (0, 2, 1, 3))
    bias = K.zeros((inputs, outputs), dtype=query.dtype) if bias is None else bias
    pieces = split_inputs([capsules, kernel, bias], positions * outputs * rows * columns)
    function = keras.remat(_attend_to_piece) if recompute and len(pieces) > 1 else _attend_to_piece
    total = sum(function(query, *piece) for piece in pieces)
    return K.reshape(K.transpose(total, (0, 2, 1, 3)), (-1, outputs, rows * columns))


def split_inputs(tensors, votes_of_an_input: int) -> list[tuple]:
    """Split the lower capsules of a routing layer into groups, to limit the number of votes in memory.

    Args:
        tensors: whose first axis is over the lower capsules.
        votes_of_an_input: vote entries of one lower capsule, for one sample of the batch.

    Returns:
        List of groups, each a tuple with a part of every tensor.
    """
    inputs = tensors[0].shape[0]
    pieces = min(inputs, math.ceil(inputs * votes_of_an_input / _VOTES_PER_PIECE))
    size = math.ceil(inputs / pieces)
    starts = list(range(size, inputs, size))
    # Not slices, whose gradient in TensorFlow is a tensor of the whole size for each.
    return list(zip(*(K.split(x, starts, axis=0) if starts else [x] for x in tensors), strict=True))


def _attend_to_piece(query, capsules, kernel, bias):
    """Sum the votes of a subset of the lower capsules, weighted by attention coefficients."""
    inputs, _, rows, columns = capsules.shape
    _, _, outputs, new_columns = kernel.shape
    votes = K.matmul(
        K.reshape(capsules, (inputs, -1, columns)), K.reshape(kernel, (inputs, columns, outputs * new_columns))
    )
    votes = K.reshape(votes, (inputs, -1, rows, outputs, new_columns))
    agreement = K.sum(votes * query, axis=(2, 4))  # (inputs, samples, outputs)
    coefficients = K.softmax(agreement, axis=-1) + bias[:, None]
    return K.sum(coefficients[:, :, None, :, None] * votes, axis=0)
