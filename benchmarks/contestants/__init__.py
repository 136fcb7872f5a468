"""Implementations that are timed in benchmarks: this package, PyTorch and other libraries.

Each is a factory of a timed function, called by name in a worker process. There is one file a subject and framework.
"""
