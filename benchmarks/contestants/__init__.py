"""Functions that set up the computations of this package, PyTorch and other libraries for timing in benchmarks.

Each is a factory of a timed function, called by name in a worker process. There is one file a subject and framework.
"""
