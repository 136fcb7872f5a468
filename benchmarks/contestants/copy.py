"""The floor of memory-bound work: a copy of as many bytes, with every core."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.contestant import Prepared


def copy(moves):
    """Copies arrays, one after another, each shared out among the cores.

    Args:
        moves: pairs of a name and a number of float32 values. Each value is read once and written once, so the traffic
            is 8 bytes a value. Moves of one name are of the same two arrays (the work's own x and y, say), so that what
            would stay in a cache does here too.
    """
    cores = len(os.sched_getaffinity(0))
    sizes = {name: max(n for other, n in moves if other == name) for name, _ in moves}
    arrays = {name: (np.ones(size, "float32"), np.ones(size, "float32")) for name, size in sizes.items()}
    pool = ThreadPoolExecutor(cores)

    def part(source, target, core):
        ends = len(source) * core // cores, len(source) * (core + 1) // cores
        np.copyto(target[slice(*ends)], source[slice(*ends)])

    def run():
        for name, size in moves:
            source, target = (array[:size] for array in arrays[name])
            list(pool.map(lambda core, a=source, b=target: part(a, b, core), range(cores)))

    return Prepared(run)
