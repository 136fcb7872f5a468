"""Benchmarks of memory copies and matrix products, which show the hardware's maximum speed.

The run times are lower bounds on those of other code. The copy, by every core, is of as many bytes as the work to
compare with, and the product of as many operations.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.contestants.arrays import normal
from benchmarks.harness.contestant import Prepared

SIDE = 1024  # of the square matrix


def copy(moves):
    """Return a function, to be timed, that copies arrays of given sizes on all CPU cores in parallel.

    Its run time is a lower bound on that of other code that moves as much data.

    Arrays are copied one after another, each shared out among the cores.

    Args:
        moves: pairs of a name and a number of float32 values. Each value is read once and written once, so the traffic
            is 8 bytes a value. Moves of one name use one pair of arrays (for instance the work's x and y), so that data
            that would stay in a cache stays there here too.
    """
    cores = len(os.sched_getaffinity(0))
    sizes = {name: max(n for other, n in moves if other == name) for name, _ in moves}
    arrays = {name: (np.ones(size, "float32"), np.ones(size, "float32")) for name, size in sizes.items()}
    pool = ThreadPoolExecutor(cores)

    def copy_part(source, target, core):
        part = slice(len(source) * core // cores, len(source) * (core + 1) // cores)
        np.copyto(target[part], source[part])

    def run():
        for name, size in moves:
            source, target = (array[:size] for array in arrays[name])
            list(pool.map(lambda core, a=source, b=target: copy_part(a, b, core), range(cores)))

    return Prepared(run)


def matmul(flops):
    """Return a function, to be timed, that computes a matrix product with a given number of FLOPs.

    Its run time is a lower bound on that of other code with as many operations.

    A matrix is multiplied by a SIDE x SIDE one in Keras's backend.

    Its number of rows makes it `flops` operations.
    """
    import keras  # here, because the process of `copy` needs no framework

    from benchmarks.contestants.keras_calls import compile_function

    rows = max(1, round(flops / (2 * SIDE**2)))
    return Prepared(compile_function(keras.ops.matmul, [normal(rows, SIDE), normal(SIDE, SIDE)], gradient=False))
