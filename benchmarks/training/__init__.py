"""Benchmarks that train networks on data sets, and of the data's way into training."""
