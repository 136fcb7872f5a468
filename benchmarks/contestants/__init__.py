"""Implementations from this package, PyTorch and other libraries that are timed in benchmarks.

Each is a factory of a timed function, called by name in a worker process. There is one file a subject and framework.
"""
