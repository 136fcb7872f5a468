"""The speed of arithmetic: a large matrix product in Keras's backend, as many operations as asked for."""

import keras

from benchmarks.contestant import Prepared
from benchmarks.contestants.compiled import compiled
from benchmarks.contestants.random_arrays import normal

SIDE = 1024


def matmul(flops):
    """Multiplies a matrix with SIDE x SIDE; the rows are chosen so that it takes `flops` operations."""
    rows = max(1, round(flops / (2 * SIDE**2)))
    return Prepared(compiled(keras.ops.matmul, [normal(rows, SIDE), normal(SIDE, SIDE)], gradient=False))
