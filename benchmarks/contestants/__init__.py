"""Implementations that the benchmarks time: those of this package, of PyTorch and of other libraries.

Each is a factory of a timed function, called by name in a worker process. There is one file a subject and framework.
"""
